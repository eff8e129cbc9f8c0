package stream

import (
	"sync"

	"github.com/landfall-dev/landfall/framework/runtime"
)

// lane is what is delivered in order.
type lane struct {
	plan *runtime.Plan
	name string
}

// lanes runs one batch at a time in each lane, and several lanes at once. run and wait are called by one goroutine.
type lanes struct {
	busy  map[lane]chan struct{} // closed when the lane's batch is done
	slots chan struct{}
	all   sync.WaitGroup
	mu    sync.Mutex
	err   error // of the first that failed
}

func newLanes(parallel int) *lanes {
	return &lanes{busy: map[lane]chan struct{}{}, slots: make(chan struct{}, parallel)}
}

// run waits until a lane and a slot are free and starts f there. The error is that of an earlier one.
func (l *lanes) run(in lane, f func() error) error {
	if done := l.busy[in]; done != nil {
		<-done
	}
	l.slots <- struct{}{}
	if err := l.failure(nil); err != nil {
		<-l.slots
		return err
	}
	done := make(chan struct{})
	l.busy[in] = done
	l.all.Go(func() {
		defer close(done)
		defer func() { <-l.slots }()
		_ = l.failure(f())
	})
	return nil
}

// failure keeps the first error and gives it.
func (l *lanes) failure(err error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err == nil {
		l.err = err
	}
	return l.err
}

// wait waits for all that are under way. The error is that of the first that failed, and given once.
func (l *lanes) wait() error {
	l.all.Wait()
	clear(l.busy)
	err := l.failure(nil)
	l.err = nil
	return err
}
