package memlog

import (
	"slices"

	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog"
)

// cursor is a position among the messages of a query. The store's mutex guards it.
type cursor struct {
	stream  *streamLog
	filters []string
	matched map[*subjectLog]struct{} // the subjects that match the filters
	next    uint64                   // the first sequence that is not returned yet
	newest  uint64                   // of the messages up to this sequence, only the newest of each subject match
}

// fewSubjects is up to how many subjects their messages are merged. Beyond that, all messages of the stream are walked through.
const fewSubjects = 16

// newCursorLocked returns a cursor at the start of a query. The store's mutex is held.
func newCursorLocked(t *streamLog, q eventlog.Query) *cursor {
	c := &cursor{stream: t, filters: q.Filters, matched: map[*subjectLog]struct{}{}, next: max(q.From, 1)}
	for _, s := range t.subjects {
		if eventlog.MatchesAny(q.Filters, s.name) {
			c.matched[s] = struct{}{}
		}
	}
	if q.Newest {
		c.newest = t.last
	}
	if !q.Since.IsZero() {
		c.next = t.last + 1
		for _, e := range t.entries {
			if e.message != nil && !e.message.Time.Before(q.Since) {
				c.next = e.seq
				break
			}
		}
	}
	return c
}

// peekLocked returns the next message, nil if there is none. The store's mutex is held.
func (c *cursor) peekLocked() *eventlog.Message {
	if len(c.matched) > fewSubjects || c.newest >= c.next {
		return c.walkLocked()
	}
	found := uint64(0)
	for s := range c.matched {
		if i, _ := slices.BinarySearch(s.seqs, c.next); i < len(s.seqs) && (found == 0 || s.seqs[i] < found) {
			found = s.seqs[i]
		}
	}
	return c.stream.messageLocked(found)
}

// walkLocked is peekLocked for queries that match many subjects.
func (c *cursor) walkLocked() *eventlog.Message {
	for _, e := range c.stream.entries[c.stream.searchLocked(c.next):] {
		if e.message != nil && c.matchesLocked(e.message) {
			return e.message
		}
		c.next = e.seq + 1 // not walked through again
	}
	return nil
}

func (c *cursor) matchesLocked(m *eventlog.Message) bool {
	s := c.stream.subjects[m.Subject]
	if _, ok := c.matched[s]; !ok {
		return false
	}
	if m.Sequence > c.newest {
		return true
	}
	i, _ := slices.BinarySearch(s.seqs, c.newest+1)
	return s.seqs[i-1] == m.Sequence
}

// takeLocked returns the next message and moves on, nil if there is none. The store's mutex is held.
func (c *cursor) takeLocked() *eventlog.Message {
	m := c.peekLocked()
	if m != nil {
		c.next = m.Sequence + 1
	}
	return m
}

// countLocked returns the number of messages from the next one on. The store's mutex is held.
func (c *cursor) countLocked() (n uint64) {
	for s := range c.matched {
		i, _ := slices.BinarySearch(s.seqs, max(c.next, c.newest+1))
		n += uint64(len(s.seqs) - i)
		if i > 0 && s.seqs[i-1] >= c.next {
			n++ // its newest message of those before
		}
	}
	return n
}
