package destination

import (
	"context"
	"sync"
)

// Locks are locks by name, so that one thing is done at a time for each name. The zero Locks is ready; it is safe for
// concurrent use.
type Locks struct {
	mu   sync.Mutex
	held map[string]*lock
}

// lock is one name's; turn holds one token while nobody has it.
type lock struct {
	turn  chan struct{}
	users int
}

// Hold waits until nobody else holds a name, or until ctx ends. Whoever holds it calls release once.
func (l *Locks) Hold(ctx context.Context, name string) (release func(), err error) {
	l.mu.Lock()
	if l.held == nil {
		l.held = map[string]*lock{}
	}
	mine := l.held[name]
	if mine == nil {
		mine = &lock{turn: make(chan struct{}, 1)}
		mine.turn <- struct{}{}
		l.held[name] = mine
	}
	mine.users++
	l.mu.Unlock()
	select {
	case <-mine.turn:
		return func() { mine.turn <- struct{}{}; l.leave(name, mine) }, nil
	case <-ctx.Done():
		l.leave(name, mine)
		return nil, ctx.Err()
	}
}

// leave forgets a name that nobody holds or waits for.
func (l *Locks) leave(name string, mine *lock) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if mine.users--; mine.users == 0 {
		delete(l.held, name)
	}
}
