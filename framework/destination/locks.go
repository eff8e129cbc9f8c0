package destination

import (
	"context"
	"sync"
)

// Locks are locks by name, so that one thing is done at a time for each name. The zero Locks is ready; it is safe for
// concurrent use.
type Locks struct {
	mu    sync.Mutex
	locks map[string]*namedLock
}

// namedLock is one name's; turn holds one token while nobody has it.
type namedLock struct {
	token chan struct{}
	users int
}

// Lock waits until nobody else holds a name, or until ctx ends. Whoever holds it calls release once.
func (l *Locks) Lock(ctx context.Context, name string) (release func(), err error) {
	l.mu.Lock()
	if l.locks == nil {
		l.locks = map[string]*namedLock{}
	}
	mine := l.locks[name]
	if mine == nil {
		mine = &namedLock{token: make(chan struct{}, 1)}
		mine.token <- struct{}{}
		l.locks[name] = mine
	}
	mine.users++
	l.mu.Unlock()
	select {
	case <-mine.token:
		return func() { mine.token <- struct{}{}; l.dropUser(name, mine) }, nil
	case <-ctx.Done():
		l.dropUser(name, mine)
		return nil, ctx.Err()
	}
}

// dropUser forgets a name that nobody holds or waits for.
func (l *Locks) dropUser(name string, mine *namedLock) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if mine.users--; mine.users == 0 {
		delete(l.locks, name)
	}
}
