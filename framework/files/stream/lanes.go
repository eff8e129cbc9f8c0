package stream

import (
	"sync"

	"github.com/landfall-dev/landfall/framework/runtime"
)

// lane identifies a sequence of batches that must be delivered one after the other.
type lane struct {
	plan *runtime.Plan
	name string
}

// lanes runs one batch at a time in each lane, and several lanes in parallel. runInLane and waitAll must be called by one goroutine.
type lanes struct {
	busy  map[lane]chan struct{} // closed when the lane's batch is done
	slots chan struct{}
	all   sync.WaitGroup
	mu    sync.Mutex
	err   error // first error
}

func newLanes(parallel int) *lanes {
	return &lanes{busy: map[lane]chan struct{}{}, slots: make(chan struct{}, parallel)}
}

// runInLane waits until the lane and a slot are free, then starts f. If an earlier batch has failed, it returns that error instead.
func (l *lanes) runInLane(in lane, f func() error) error {
	if done := l.busy[in]; done != nil {
		<-done
	}
	l.slots <- struct{}{}
	if err := l.recordError(nil); err != nil {
		<-l.slots
		return err
	}
	done := make(chan struct{})
	l.busy[in] = done
	l.all.Go(func() {
		defer close(done)
		defer func() { <-l.slots }()
		_ = l.recordError(f())
	})
	return nil
}

// recordError keeps the first error and returns it.
func (l *lanes) recordError(err error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err == nil {
		l.err = err
	}
	return l.err
}

// waitAll waits for all running batches. It returns the first error, and returns each error only once.
func (l *lanes) waitAll() error {
	l.all.Wait()
	clear(l.busy)
	err := l.recordError(nil)
	l.err = nil
	return err
}
