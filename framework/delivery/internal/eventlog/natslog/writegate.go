package natslog

import (
	"context"
	"sync"
)

// writeGate makes writes wait while it is closed.
type writeGate struct {
	mu     sync.RWMutex  // held for reading by each write in progress
	closed chan struct{} // nil if it is open; guarded by mu
}

// enter waits until the gate is open or ctx ends. The caller calls leave after the write.
func (g *writeGate) enter(ctx context.Context) (leave func(), err error) {
	for {
		g.mu.RLock()
		closed := g.closed
		if closed == nil {
			return g.mu.RUnlock, nil
		}
		g.mu.RUnlock()
		select {
		case <-closed:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// close waits until the writes in progress are done and closes the gate. The caller calls open.
func (g *writeGate) close() (open func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	closed := make(chan struct{})
	g.closed = closed
	return func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.closed = nil
		close(closed)
	}
}
