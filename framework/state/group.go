package state

import (
	"context"
	"database/sql"
	"errors"
	"sync"
)

// writeGroups commits the writes of concurrent callers together: while one group is written, the next one is collected. A commit of a
// file costs a sync of the disk, and no two writers can commit at the same time.
type writeGroups struct {
	mu      sync.Mutex
	waiting []*groupedWrite
	leading bool // a caller writes a group
}

// groupedWrite is what one caller writes.
type groupedWrite struct {
	ctx  context.Context
	key  recentKey
	run  func(*sql.Tx) error
	lead chan struct{} // closed if the caller should write the next group
	done chan error
}

// writeAudience runs f, which may write one audience, in a transaction. In a file, it shares the transaction with writes of other
// audiences: f may be called again if one of them fails.
func (s *Store) writeAudience(ctx context.Context, key recentKey, f func(*sql.Tx) error) error {
	if !s.IsLocal() {
		return s.inTransaction(ctx, f)
	}
	w := &groupedWrite{ctx, key, f, make(chan struct{}), make(chan error, 1)}
	g := &s.groups
	g.mu.Lock()
	g.waiting = append(g.waiting, w)
	leads := !g.leading
	g.leading = true
	g.mu.Unlock()
	if !leads {
		select {
		case err := <-w.done:
			return err
		case <-w.lead:
		}
	}
	group := g.next(w)
	errs := make([]error, len(group))
	for i := range errs {
		errs[i] = errAbandoned
	}
	defer func() { // also if a write panics
		g.handOver()
		for i, other := range group[1:] {
			other.done <- errs[i+1]
		}
	}()
	s.writeGroup(group, errs)
	return errs[0]
}

// errAbandoned is what the other writes of a group return if one of them panics.
var errAbandoned = errors.New("another write of the same transaction panicked")

// next removes the next group: first, and the other writes whose audience is not in it yet. The second write of an audience
// must see that the first is committed.
func (g *writeGroups) next(first *groupedWrite) []*groupedWrite {
	g.mu.Lock()
	defer g.mu.Unlock()
	group, keys, rest := []*groupedWrite{first}, map[recentKey]bool{first.key: true}, []*groupedWrite(nil)
	for _, w := range g.waiting {
		switch {
		case w == first:
		case keys[w.key]:
			rest = append(rest, w)
		default:
			group, keys[w.key] = append(group, w), true
		}
	}
	g.waiting = rest
	return group
}

// handOver lets a waiting caller write the next group.
func (g *writeGroups) handOver() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.leading = len(g.waiting) > 0; g.leading {
		close(g.waiting[0].lead)
	}
}

// writeGroup writes a group in one transaction, and sets errs. If one of its writes fails, each gets a transaction of its own.
func (s *Store) writeGroup(group []*groupedWrite, errs []error) {
	if len(group) > 1 {
		err := s.inTransaction(context.Background(), func(tx *sql.Tx) error {
			for _, w := range group {
				if err := w.run(tx); err != nil {
					return err
				}
			}
			return nil
		})
		if err == nil {
			clear(errs)
			return
		}
	}
	for i, w := range group {
		errs[i] = s.inTransaction(w.ctx, w.run)
	}
}
