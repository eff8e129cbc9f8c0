package memlog

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog"
)

// streamLog is one stream. The store's mutex guards it.
type streamLog struct {
	config   eventlog.StreamConfig
	labels   map[string]string
	created  time.Time
	last     uint64
	lastTime time.Time
	bytes    uint64
	count    int
	entries  []entry // by sequence; deleted ones have no message until they are compacted
	subjects map[string]*subjectLog
	readers  map[*reader]struct{}
}

// entry is a message of a stream, or the place of a deleted one.
type entry struct {
	seq     uint64
	message *eventlog.Message
}

// subjectLog is the messages of one subject. It is dropped when it is empty.
type subjectLog struct {
	name    string
	seqs    []uint64
	readers map[*reader]struct{} // the open readers whose query matches the subject
}

func newStream(created time.Time) *streamLog {
	return &streamLog{created: created, subjects: map[string]*subjectLog{}, readers: map[*reader]struct{}{}}
}

// recordOverhead is what a message takes beside its subject, header and data: like in the files of JetStream.
const recordOverhead = 30

func sizeOf(subject string, header map[string]string, data []byte) (n uint64) {
	for name, value := range header {
		n += uint64(len(name) + len(value) + 4)
	}
	return n + recordOverhead + uint64(len(subject)+len(data))
}

// checkLocked returns why writes cannot be appended, nil if they can.
func (t *streamLog) checkLocked(writes []eventlog.Write, maxMessage int64) error {
	bytes, written := t.bytes, map[string]bool{}
	for _, w := range writes {
		if !eventlog.MatchesAny(t.config.Subjects, w.Subject) {
			return fmt.Errorf("%w: the stream %s has no subject %s", eventlog.ErrUnavailable, t.config.Name, w.Subject)
		}
		if int64(len(w.Data)) > maxMessage {
			return fmt.Errorf("%w: %d bytes", eventlog.ErrTooLarge, len(w.Data))
		}
		if w.Conditional && (written[w.Subject] || w.Revision != t.newestLocked(w.Subject)) {
			return fmt.Errorf("%w: %s", eventlog.ErrConflict, w.Subject)
		}
		written[w.Subject] = true
		bytes += sizeOf(w.Subject, w.Header, w.Data)
	}
	if limit := t.config.MaxBytes; limit > 0 && bytes > uint64(limit) {
		return fmt.Errorf("%w: the stream %s has reached %d bytes", eventlog.ErrFull, t.config.Name, limit)
	}
	return nil
}

// appendLocked stores writes that checkLocked accepts.
func (t *streamLog) appendLocked(writes []eventlog.Write, now time.Time) uint64 {
	for _, w := range writes {
		t.last++
		t.lastTime = now
		m := &eventlog.Message{Subject: w.Subject, Header: maps.Clone(w.Header), Data: slices.Clone(w.Data), Sequence: t.last, Time: now}
		s := t.subjectLocked(w.Subject)
		if t.config.NewestOnly {
			for len(s.seqs) > 0 {
				t.removeLocked(t.searchLocked(s.seqs[0]), false)
			}
		}
		s.seqs = append(s.seqs, m.Sequence)
		t.entries = append(t.entries, entry{m.Sequence, m})
		t.count++
		t.bytes += sizeOf(m.Subject, m.Header, m.Data)
		for r := range s.readers {
			r.wakeUp()
		}
	}
	return t.last
}

// subjectLocked returns the log of a subject. It creates it if the subject has no messages.
func (t *streamLog) subjectLocked(name string) *subjectLog {
	s := t.subjects[name]
	if s == nil {
		s = &subjectLog{name: name, readers: map[*reader]struct{}{}}
		t.subjects[name] = s
		for r := range t.readers {
			r.addSubjectLocked(s)
		}
	}
	return s
}

// newestLocked returns the sequence of the newest message of a subject, 0 for none.
func (t *streamLog) newestLocked(subject string) uint64 {
	if s := t.subjects[subject]; s != nil {
		return s.seqs[len(s.seqs)-1]
	}
	return 0
}

// searchLocked returns the index of the first entry with a sequence or a later one.
func (t *streamLog) searchLocked(seq uint64) int {
	i, _ := slices.BinarySearchFunc(t.entries, seq, func(e entry, seq uint64) int { return cmp.Compare(e.seq, seq) })
	return i
}

// messageLocked returns the message with a sequence, nil if there is none.
func (t *streamLog) messageLocked(seq uint64) *eventlog.Message {
	if i := t.searchLocked(seq); i < len(t.entries) && t.entries[i].seq == seq {
		return t.entries[i].message
	}
	return nil
}

// removeLocked deletes the message of an entry that has one. If drop is set, its subject is dropped with its last message.
func (t *streamLog) removeLocked(i int, drop bool) {
	m := t.entries[i].message
	t.entries[i].message = nil
	t.count--
	t.bytes -= sizeOf(m.Subject, m.Header, m.Data)
	s := t.subjects[m.Subject]
	if at, _ := slices.BinarySearch(s.seqs, m.Sequence); at == 0 {
		s.seqs = s.seqs[1:] // without moving the others
	} else {
		s.seqs = slices.Delete(s.seqs, at, at+1)
	}
	if len(s.seqs) == 0 && drop {
		delete(t.subjects, m.Subject)
		for r := range s.readers {
			delete(r.matched, s)
		}
	}
}

// compactLocked removes the entries of deleted messages if there are many. It invalidates the indexes of entries.
func (t *streamLog) compactLocked() {
	if len(t.entries)-t.count > t.count+16 {
		t.entries = slices.DeleteFunc(t.entries, func(e entry) bool { return e.message == nil })
	}
}

// purgeLocked deletes the messages that a function selects, up to a sequence.
func (t *streamLog) purgeLocked(before uint64, selects func(*eventlog.Message) bool) {
	for i := range t.entries {
		if t.entries[i].seq >= before {
			break
		}
		if m := t.entries[i].message; m != nil && selects(m) {
			t.removeLocked(i, true)
		}
	}
	t.compactLocked()
}

// infoLocked describes the stream.
func (t *streamLog) infoLocked() eventlog.Info {
	info := eventlog.Info{
		Created: t.created, FirstSeq: t.last + 1, LastSeq: t.last, LastTime: t.lastTime, Messages: uint64(t.count), Bytes: t.bytes, Labels: maps.Clone(t.labels),
	}
	for _, e := range t.entries {
		if e.message != nil {
			info.FirstSeq, info.FirstTime = e.seq, e.message.Time
			break
		}
	}
	info.Missing = int(info.LastSeq+1-info.FirstSeq) - t.count
	return info
}

// missingLocked returns the sequences between the first and the last message without a message.
func (t *streamLog) missingLocked() (list []uint64) {
	next := t.infoLocked().FirstSeq
	for _, e := range t.entries {
		if e.message == nil || e.seq < next {
			continue
		}
		for ; next < e.seq; next++ {
			list = append(list, next)
		}
		next = e.seq + 1
	}
	for ; next <= t.last; next++ {
		list = append(list, next)
	}
	return list
}
