package memlog

import (
	"context"
	"math"
	"sync"
	"time"

	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog"
)

// Log is a connection to a Store. It implements eventlog.Log.
type Log struct {
	store   *Store
	once    sync.Once
	closed  chan struct{}
	readers map[*reader]struct{} // guarded by the store's mutex
}

var _ eventlog.Log = (*Log)(nil)

// Close ends the connection.
func (l *Log) Close() {
	l.once.Do(func() {
		close(l.closed)
		l.store.mu.Lock()
		defer l.store.mu.Unlock()
		for r := range l.readers {
			r.closeLocked()
		}
	})
}

func (l *Log) isClosed() bool {
	select {
	case <-l.closed:
		return true
	default:
		return false
	}
}

// withStream calls f for a stream with the store's mutex held.
func (l *Log) withStream(ctx context.Context, name string, f func(*streamLog) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if l.isClosed() {
		return eventlog.ErrClosed
	}
	l.store.mu.Lock()
	defer l.store.mu.Unlock()
	t, err := l.store.streamLocked(name)
	if err != nil {
		return err
	}
	return f(t)
}

// Prepare creates the streams that do not exist and updates the others.
func (l *Log) Prepare(ctx context.Context, streams []eventlog.StreamConfig) error {
	if l.isClosed() {
		return eventlog.ErrClosed
	}
	l.store.mu.Lock()
	defer l.store.mu.Unlock()
	for _, c := range streams {
		if err := l.store.prepareLocked(c); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// Append writes messages to one stream, all of them or none, with consecutive sequences.
func (l *Log) Append(ctx context.Context, stream string, writes []eventlog.Write) (last uint64, err error) {
	err = l.withStream(ctx, stream, func(t *streamLog) error {
		if err := t.checkLocked(writes, l.MaxMessage()); err != nil {
			return err
		}
		last = t.appendLocked(writes, l.store.options.Now())
		t.compactLocked()
		return nil
	})
	return last, err
}

// MaxMessage is the maximum number of bytes in the data of a message.
func (l *Log) MaxMessage() int64 { return l.store.options.MaxMessage }

// Get returns the message with a sequence.
func (l *Log) Get(ctx context.Context, stream string, seq uint64) (eventlog.Message, error) {
	return l.find(ctx, stream, func(t *streamLog) *eventlog.Message { return t.messageLocked(seq) })
}

// First returns the first message at or after a sequence whose subject matches a filter.
func (l *Log) First(ctx context.Context, stream, filter string, from uint64) (eventlog.Message, error) {
	return l.find(ctx, stream, func(t *streamLog) *eventlog.Message {
		return newCursorLocked(t, eventlog.Query{Filters: []string{filter}, From: from}).peekLocked()
	})
}

// Last returns the newest message of a subject.
func (l *Log) Last(ctx context.Context, stream, subject string) (eventlog.Message, error) {
	return l.find(ctx, stream, func(t *streamLog) *eventlog.Message { return t.messageLocked(t.newestLocked(subject)) })
}

// find returns the message that f finds with the store's mutex held.
func (l *Log) find(ctx context.Context, stream string, f func(*streamLog) *eventlog.Message) (m eventlog.Message, err error) {
	err = l.withStream(ctx, stream, func(t *streamLog) error {
		found := f(t)
		if found == nil {
			return eventlog.ErrNotFound
		}
		m = *found
		return nil
	})
	return m, err
}

// Scan calls visit for the messages of a query that the stream has now, until it returns false or an error.
func (l *Log) Scan(ctx context.Context, stream string, q eventlog.Query, visit func(eventlog.Message) (more bool, err error)) error {
	var c *cursor
	left := uint64(0)
	err := l.withStream(ctx, stream, func(t *streamLog) error {
		c = newCursorLocked(t, q)
		left = c.countLocked()
		return nil
	})
	for ; err == nil && left > 0; left-- {
		var m *eventlog.Message
		err = l.withStream(ctx, stream, func(*streamLog) error {
			m = c.takeLocked()
			return nil
		})
		if err != nil || m == nil {
			return err
		}
		more, err := visit(*m)
		if err != nil || !more {
			return err
		}
	}
	return err
}

// Count returns the number of messages of a query that the stream has now.
func (l *Log) Count(ctx context.Context, stream string, q eventlog.Query) (n uint64, err error) {
	err = l.withStream(ctx, stream, func(t *streamLog) error {
		n = newCursorLocked(t, q).countLocked()
		return nil
	})
	return n, err
}

// Subjects returns the subjects that match a filter and have messages.
func (l *Log) Subjects(ctx context.Context, stream, filter string) (list []string, err error) {
	err = l.withStream(ctx, stream, func(t *streamLog) error {
		for name := range t.subjects {
			if eventlog.MatchesSubject(filter, name) {
				list = append(list, name)
			}
		}
		return nil
	})
	return list, err
}

// Delete deletes a message.
func (l *Log) Delete(ctx context.Context, stream string, seq uint64) error {
	return l.withStream(ctx, stream, func(t *streamLog) error {
		if t.messageLocked(seq) != nil {
			t.removeLocked(t.searchLocked(seq), true)
			t.compactLocked()
		}
		return nil
	})
}

// PurgeBefore deletes the messages before a sequence.
func (l *Log) PurgeBefore(ctx context.Context, stream string, seq uint64) error {
	return l.withStream(ctx, stream, func(t *streamLog) error {
		t.purgeLocked(seq, func(*eventlog.Message) bool { return true })
		return nil
	})
}

// PurgeSubjects deletes the messages whose subject matches a filter.
func (l *Log) PurgeSubjects(ctx context.Context, stream, filter string) error {
	return l.withStream(ctx, stream, func(t *streamLog) error {
		t.purgeLocked(math.MaxUint64, func(m *eventlog.Message) bool { return eventlog.MatchesSubject(filter, m.Subject) })
		return nil
	})
}

// Info describes a stream.
func (l *Log) Info(ctx context.Context, stream string) (info eventlog.Info, err error) {
	err = l.withStream(ctx, stream, func(t *streamLog) error {
		info = t.infoLocked()
		return nil
	})
	return info, err
}

// Missing returns the sequences between the first and the last message of a stream that have no message.
func (l *Log) Missing(ctx context.Context, stream string) (list []uint64, err error) {
	err = l.withStream(ctx, stream, func(t *streamLog) error {
		list = t.missingLocked()
		return nil
	})
	return list, err
}

// Connected reports whether the connection is open.
func (l *Log) Connected() bool { return !l.isClosed() }

// WriteFailure returns nil, because memory is always writable.
func (l *Log) WriteFailure(string) (since time.Time, err error) { return time.Time{}, nil }

// Shared reports whether the store is shared by processes.
func (l *Log) Shared() bool { return l.store.options.Shared }

// Dir is "".
func (l *Log) Dir() string { return "" }
