package dispatch

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// ending is a host that ends the owner when the first task of its batch is finished.
type ending struct {
	end      func()
	batches  []*Batch[string]
	finished []string
}

func (e *ending) Send(b *Batch[string]) { e.batches = append(e.batches, b) }

func (e *ending) Finished(t *Task[string], _ Result) {
	e.finished = append(e.finished, t.Value)
	e.end()
}

func (*ending) Retried(*Task[string], Result)                 {}
func (*ending) Exhausted(tasks []*Task[string], _ Result) int { return len(tasks) }

// TestOwnerEndsWhileResultsAreApplied checks that a host may end an owner when a task is finished, while the results of the others in its
// batch are not applied yet.
func TestOwnerEndsWhileResultsAreApplied(t *testing.T) {
	for _, closes := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			h := &ending{}
			d := New[string](Config{}, h)
			o := d.NewOwner(nil)
			h.end = o.DrainLocked
			if closes {
				h.end = o.CloseLocked
			}
			for _, key := range []string{"a", "b", "c"} {
				d.Add(&Task[string]{Value: key, Owner: o, Key: key, MaxBatch: 3})
			}
			time.Sleep(time.Minute)
			synctest.Wait()
			require.Len(t, h.batches, 1)
			h.batches[0].Done(make([]Result, 3))
			assert.Equal(t, map[bool][]string{false: {"a", "b", "c"}, true: {"a"}}[closes], h.finished)
			assert.Zero(t, o.chains.n)
			d.Stop()
		})
	}
}
