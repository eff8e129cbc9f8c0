package delivery

import (
	"bytes"
	"hash/maphash"
	"strings"
	"sync"

	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog"
	"github.com/landfall-dev/landfall/framework/event"
)

// Measured bytes in memory beyond the data.
const (
	pageOverhead  = 250 // of a page
	eventOverhead = 250 // of a parsed event
)

// logPage is a message of the log that the instances of this process share. Its events are parsed once, when the first instance needs
// them.
type logPage struct {
	eventlog.Message
	subject []string // the tokens of Subject
	size    int      // estimated bytes in memory, including the parsed events
	pending uint64   // messages that followed it when it was read

	seed   maphash.Seed
	once   sync.Once // parses the events
	events []parsedEvent
}

// parsedEvent is an event of a page.
type parsedEvent struct {
	event event.Event
	err   error  // why it cannot be used; nil if it can
	id    uint64 // hash of its source and messageId; 0 without a messageId
}

func newLogPage(m eventlog.Message, pending uint64, seed maphash.Seed) *logPage {
	size := len(m.Data) + pageOverhead + eventOverhead*bytes.Count(m.Data, []byte{'\n'})
	return &logPage{Message: m, subject: strings.Split(m.Subject, "."), size: size, pending: pending, seed: seed}
}

// isCommand reports whether the page is a command or a replay for one instance.
func (p *logPage) isCommand() bool { return p.subject[0] == "ctl" }

// replaysEvents reports whether the page has events that an instance gets again.
func (p *logPage) replaysEvents() bool { return p.isCommand() && p.Header[opHeader] == opReplayEvents }

// source returns the source of the page's events.
func (p *logPage) source() string {
	if p.replaysEvents() {
		return p.Header[sourceHeader]
	}
	return parseToken(p.subject[1])
}

// parsedEvents returns the events of the page.
func (p *logPage) parsedEvents() []parsedEvent {
	p.once.Do(func() {
		lines := bytes.Split(bytes.TrimSuffix(p.Data, []byte{'\n'}), []byte{'\n'})
		p.events = make([]parsedEvent, len(lines))
		for i, line := range lines {
			e := &p.events[i]
			if e.event, e.err = event.Parse(line); isErasedLine(line) {
				e.err = errErased
			} else if e.err == nil && !p.isCommand() { // replayed events are never duplicates
				e.id = hashID(p.seed, p.subject[1], e.event.Value().Get("messageId").Str())
			}
		}
	})
	return p.events
}

// hashID returns a hash of a source and a messageId, or 0 without a messageId.
func hashID(seed maphash.Seed, source, id string) uint64 {
	if id == "" {
		return 0
	}
	var h maphash.Hash
	h.SetSeed(seed)
	_, _ = h.WriteString(source)
	_ = h.WriteByte(0)
	_, _ = h.WriteString(id)
	return max(h.Sum64(), 1)
}
