package memlog

import (
	"context"

	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog"
)

// reader is a cursor that waits at the end. The store's mutex guards all but its channels.
type reader struct {
	*cursor
	log    *Log
	wake   chan struct{} // has a value if a message may have come
	closed chan struct{}
	ended  bool // closed is closed
}

// Read returns a Reader of the messages of a query.
func (l *Log) Read(ctx context.Context, stream string, q eventlog.Query) (eventlog.Reader, error) {
	r := &reader{log: l, wake: make(chan struct{}, 1), closed: make(chan struct{})}
	err := l.withStream(ctx, stream, func(t *streamLog) error {
		r.cursor = newCursorLocked(t, q)
		t.readers[r], l.readers[r] = struct{}{}, struct{}{}
		for s := range r.matched {
			s.readers[r] = struct{}{}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return r, nil
}

// addSubjectLocked adds a new subject if it matches.
func (r *reader) addSubjectLocked(s *subjectLog) {
	if eventlog.MatchesAny(r.filters, s.name) {
		r.matched[s], s.readers[r] = struct{}{}, struct{}{}
	}
}

// wakeUp makes Next look again.
func (r *reader) wakeUp() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

func (r *reader) Next(ctx context.Context) (eventlog.Message, error) {
	for {
		m, err := r.takeNext(ctx)
		if m != nil || err != nil {
			return valueOf(m), err
		}
		select {
		case <-r.wake:
		case <-r.closed:
		case <-ctx.Done():
		}
	}
}

// takeNext returns the next message, nil if there is none yet.
func (r *reader) takeNext(ctx context.Context) (*eventlog.Message, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	r.log.store.mu.Lock()
	defer r.log.store.mu.Unlock()
	if r.ended {
		return nil, eventlog.ErrClosed
	}
	return r.takeLocked(), nil
}

func valueOf(m *eventlog.Message) eventlog.Message {
	if m == nil {
		return eventlog.Message{}
	}
	return *m
}

func (r *reader) Pending() uint64 {
	r.log.store.mu.Lock()
	defer r.log.store.mu.Unlock()
	return r.countLocked()
}

func (r *reader) Close() {
	r.log.store.mu.Lock()
	defer r.log.store.mu.Unlock()
	r.closeLocked()
}

// closeLocked ends the reader. The store's mutex is held.
func (r *reader) closeLocked() {
	if r.ended {
		return
	}
	r.ended = true
	close(r.closed)
	delete(r.stream.readers, r)
	delete(r.log.readers, r)
	for s := range r.matched {
		delete(s.readers, r)
	}
}
