package memlog

import (
	"context"

	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog"
)

var _ eventlog.Eraser = (*Log)(nil)

// Erase implements eventlog.Eraser. Deleted messages are no longer in memory.
func (l *Log) Erase(ctx context.Context, rewrite func(stream, subject string, data []byte) []byte) error {
	if l.isClosed() {
		return eventlog.ErrClosed
	}
	l.store.mu.Lock()
	defer l.store.mu.Unlock()
	for name, t := range l.store.streams {
		for i := range t.entries {
			m := t.entries[i].message
			if m == nil {
				continue
			}
			if data := rewrite(name, m.Subject, m.Data); len(data) == len(m.Data) && data != nil {
				copied := *m
				copied.Data = data
				t.entries[i].message = &copied
			}
		}
	}
	return ctx.Err()
}
