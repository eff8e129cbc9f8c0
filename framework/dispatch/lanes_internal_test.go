package dispatch

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// accepting is a host whose remote accepts everything but the first attempt of each task.
type accepting struct{ failed map[string]bool }

func (a *accepting) Send(b *Batch[string]) {
	results := make([]Result, len(b.Tasks))
	for i, t := range b.Tasks {
		if !a.failed[t.Value] {
			a.failed[t.Value], results[i].Outcome = true, Retry
		}
	}
	go b.Done(results)
}

func (*accepting) Finished(*Task[string], Result)                {}
func (*accepting) Retried(*Task[string], Result)                 {}
func (*accepting) Exhausted(tasks []*Task[string], _ Result) int { return len(tasks) }

// TestIdleLanesAreForgotten checks that a lane with nothing left to send needs no memory: there may be one for each user.
func TestIdleLanesAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := New[string](Config{MaxBatches: 4}, &accepting{map[string]bool{}})
		for i := range 100 {
			name := fmt.Sprint(i)
			d.Add(&Task[string]{Value: name, Lane: Lane{Name: name}, Key: name, MaxBatch: 1})
		}
		require.NoError(t, d.Wait(t.Context(), func(held, _ int) bool { return held == 0 }))
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		d.Lock()
		assert.Empty(t, d.lanes)
		assert.Empty(t, d.timers)
		d.Unlock()
		d.Stop()
	})
}

// TestFailedLanesAreForgotten checks that a lane whose tasks the host has taken after failures is kept for as long as these may delay
// others, and no longer.
func TestFailedLanesAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := New[string](Config{MinBackoff: time.Second, MaxBackoff: time.Minute, RetryFor: 10 * time.Minute}, failing{})
		d.Add(&Task[string]{Value: "a", Key: "a", MaxBatch: 1})
		require.NoError(t, d.Wait(t.Context(), func(held, _ int) bool { return held == 0 }))
		lanes := func() int {
			synctest.Wait()
			d.Lock()
			defer d.Unlock()
			return len(d.lanes)
		}
		assert.Equal(t, 1, lanes())
		time.Sleep(3 * time.Minute)
		assert.Zero(t, lanes())
		d.Stop()
	})
}

// failing is a host whose remote fails, and which takes the tasks that have failed for too long.
type failing struct{}

func (failing) Send(b *Batch[string]) {
	results := make([]Result, len(b.Tasks))
	for i := range results {
		results[i].Outcome = Retry
	}
	go b.Done(results)
}

func (failing) Finished(*Task[string], Result)                {}
func (failing) Retried(*Task[string], Result)                 {}
func (failing) Exhausted(tasks []*Task[string], _ Result) int { return len(tasks) }

// TestIdleGroupsAreForgotten checks that a lane forgets the groups which have nothing to send if there are many, and never one that has.
func TestIdleGroupsAreForgotten(t *testing.T) {
	group := func(tasks int) *group[string] {
		g := &group[string]{}
		for range tasks {
			g.fresh.push(&Task[string]{})
			g.halved.push(&Task[string]{})
		}
		return g
	}
	for _, c := range []struct{ idle, busy, left int }{{maxIdleGroups, 0, maxIdleGroups}, {maxIdleGroups - 1, 1, maxIdleGroups}, {maxIdleGroups + 1, 0, 0}, {maxIdleGroups, 1, 1}, {0, maxIdleGroups + 5, maxIdleGroups + 5}} {
		l := &lane[string]{}
		for range c.idle {
			l.groups = append(l.groups, group(0))
		}
		for range c.busy {
			l.groups = append(l.groups, group(1))
		}
		l.dropIdleGroups()
		busy := 0
		for _, g := range l.groups {
			busy += g.fresh.len()
		}
		assert.Equal(t, []int{c.left, c.busy}, []int{len(l.groups), busy}, c)
	}
}

// timersAfter returns the number of timers that run after a time.
func timersAfter(d *Dispatcher[string], wait time.Duration) int {
	time.Sleep(wait)
	synctest.Wait()
	d.Lock()
	defer d.Unlock()
	return len(d.timers)
}

// TestOnlyNeededTimersRun checks that a dispatcher has a timer only for what it waits for: none for an incomplete batch that has become
// full, nor for a wait that was ended.
func TestOnlyNeededTimersRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := New[string](Config{Linger: time.Minute, MinBackoff: time.Hour, MaxBackoff: time.Hour}, &accepting{map[string]bool{"a": true, "b": true}})
		defer d.Stop()
		add := func(values ...string) {
			for _, v := range values {
				d.Add(&Task[string]{Value: v, Key: v, MaxBatch: 2})
			}
		}
		add("a")
		assert.Equal(t, 1, timersAfter(d, 0))
		add("b")
		assert.Zero(t, timersAfter(d, 0), "the batch is full, and done")
		add("a", "fails once")
		assert.Equal(t, 1, timersAfter(d, 0), "one is retried later")
		d.Resume()
		assert.Zero(t, timersAfter(d, 0))
		d.Pause(time.Hour)
		add("a", "b")
		assert.Equal(t, 1, timersAfter(d, time.Second))
		d.Resume()
		assert.Zero(t, timersAfter(d, 0))
		d.Pause(time.Hour)
		add("a", "b")
		assert.Zero(t, timersAfter(d, time.Hour+time.Second))
	})
}

// TestLanesHaveOneTimer checks that a lane which is kept because it has failed has one timer, also once it has another task.
func TestLanesHaveOneTimer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := New[string](Config{Linger: time.Minute, MinBackoff: time.Hour, MaxBackoff: time.Hour, RetryFor: time.Minute}, failing{})
		defer d.StopLocked()
		d.Add(&Task[string]{Value: "a", Key: "a", MaxBatch: 1})
		require.NoError(t, d.Wait(t.Context(), func(held, _ int) bool { return held == 0 }))
		assert.Equal(t, 1, timersAfter(d, 0))
		d.Resume()
		assert.Zero(t, timersAfter(d, 0), "it is kept no longer")
		d.Add(&Task[string]{Value: "b", Key: "b", MaxBatch: 1})
		require.NoError(t, d.Wait(t.Context(), func(held, _ int) bool { return held == 0 }))
		d.Add(&Task[string]{Value: "c", Key: "c", MaxBatch: 2})
		assert.Equal(t, 1, timersAfter(d, 0))
		d.Lock()
		defer d.Unlock()
		for timer := range d.timers {
			assert.Equal(t, time.Now().Add(time.Minute), timer.at, "it is woken earlier")
		}
	})
}

// TestNothingIsKeptOfWhatHasEnded checks that owners that have ended and groups without tasks need no memory while their lane goes on.
func TestNothingIsKeptOfWhatHasEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := New[string](Config{Linger: time.Hour}, &accepting{map[string]bool{}})
		defer d.Stop()
		d.Add(&Task[string]{Value: "stays", MaxBatch: 2})
		for i := range 50 {
			name, o := fmt.Sprint(i), d.NewOwner(nil)
			d.Add(&Task[string]{Value: name, Owner: o, Group: Group{Key: name}, Key: name, MaxBatch: 1})
			require.NoError(t, d.Wait(t.Context(), func(held, _ int) bool { return held == 1 }))
			o.Close()
		}
		d.Lock()
		defer d.Unlock()
		assert.Len(t, d.owners, 1, "that of the tasks without one")
		assert.LessOrEqual(t, len(d.lanes[Lane{}].groups), maxIdleGroups+1)
	})
}
