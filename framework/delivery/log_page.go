package delivery

import (
	"hash/maphash"
	"strings"
	"sync"

	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog"
	"github.com/landfall-dev/landfall/framework/event"
)

// Measured bytes in memory beyond the data.
const (
	pageOverhead  = 250 // of a page
	eventOverhead = 275 // of a parsed event
)

// logPage is a message of the log that the instances of this process share. An event is parsed once, when the first instance needs it.
type logPage struct {
	eventlog.Message
	subject []string // the tokens of Subject
	size    int      // estimated bytes in memory, including the parsed events
	pending uint64   // messages that followed it when it was read

	seed maphash.Seed
	runs []sourceRun // the sources of the events; nil for a command
	err  error       // why the sources are unknown; nil if they are known

	mu     sync.Mutex // held while events are parsed
	events []parsedEvent
	ids    []uint64 // hashes of the sources and messageIds of the parsed events; 0 for those that are never duplicates
}

// parsedEvent is an event of a page.
type parsedEvent struct {
	source string
	event  event.Event
	err    error // why it cannot be used; nil if it can
	parsed bool  // the fields above are set
}

// eventRange is a range of consecutive events of a page: from is the index of the first one, to the index after the last one.
type eventRange struct{ from, to int }

func newLogPage(m eventlog.Message, pending uint64, seed maphash.Seed) *logPage {
	n := countLines(m.Data)
	p := &logPage{Message: m, subject: strings.Split(m.Subject, "."), size: len(m.Data) + pageOverhead + eventOverhead*n, pending: pending, seed: seed}
	if !p.isCommand() || p.replaysEvents() {
		p.runs, p.err = sourcesOf(&m, n)
	}
	return p
}

// isCommand reports whether the page is a command or a replay for one instance.
func (p *logPage) isCommand() bool { return p.subject[0] == "ctl" }

// replaysEvents reports whether the page has events that an instance gets again.
func (p *logPage) replaysEvents() bool { return p.isCommand() && p.Header[opHeader] == opReplayEvents }

// eventsFrom returns the events of the page for an instance that receives these sources; nil for all. Replayed events are for this instance, so it
// gets all of them. It also gets the events whose source cannot be read, and reports them.
func (p *logPage) eventsFrom(sources map[string]bool) (list []eventRange) {
	if sources == nil || p.isCommand() || p.err != nil {
		return []eventRange{{0, p.runs[len(p.runs)-1].end}}
	}
	from := 0
	for _, run := range p.runs {
		if sources[run.source] {
			list = append(list, eventRange{from, run.end})
		}
		from = run.end
	}
	return list
}

// parseEvents parses the events of the ranges, and returns all events of the page and their ids. Other goroutines may be parsing the others.
func (p *logPage) parseEvents(ranges []eventRange) ([]parsedEvent, []uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.events == nil {
		n := p.runs[len(p.runs)-1].end
		p.events, p.ids = make([]parsedEvent, n), make([]uint64, n)
	}
	var lines [][]byte
	run := 0
	for _, r := range ranges {
		for i := r.from; i < r.to; i++ {
			e := &p.events[i]
			if e.parsed {
				continue
			}
			if lines == nil {
				lines = pageLines(p.Data)
			}
			for p.runs[run].end <= i {
				run++
			}
			p.ids[i] = p.parseEvent(e, lines[i], p.runs[run].source)
		}
	}
	return p.events, p.ids
}

// parseEvent parses one event, and returns what is remembered of its messageId.
func (p *logPage) parseEvent(e *parsedEvent, line []byte, source string) (id uint64) {
	e.parsed, e.source = true, source
	switch e.event, e.err = event.Parse(line); {
	case isErasedLine(line):
		e.err = errErased
	case p.err != nil:
		e.err = p.err
	case e.err == nil && !p.isCommand(): // replayed events are never duplicates
		return hashID(p.seed, source, e.event.Value().Get("messageId").Str())
	}
	return 0
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
