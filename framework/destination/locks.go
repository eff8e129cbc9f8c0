package destination

import (
	"context"
	"sync"
)

// Locks is a set of named mutexes. The zero Locks is ready to use. It is safe for concurrent use.
type Locks struct {
	mu    sync.Mutex
	locks map[string]*namedLock
}

// namedLock is the lock of one name. token holds one element while the lock is free.
type namedLock struct {
	token chan struct{}
	users int
}

// Lock acquires the lock of a name. It fails when ctx ends. The caller must call unlock once.
func (l *Locks) Lock(ctx context.Context, name string) (unlock func(), err error) {
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

// dropUser removes a lock that has neither a holder nor waiters.
func (l *Locks) dropUser(name string, mine *namedLock) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if mine.users--; mine.users == 0 {
		delete(l.locks, name)
	}
}
