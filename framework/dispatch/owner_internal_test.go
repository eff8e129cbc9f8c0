package dispatch

import (
	"fmt"
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
// batch are not applied yet: each task has one end.
func TestOwnerEndsWhileResultsAreApplied(t *testing.T) {
	for name, c := range map[string]struct {
		close   bool
		results []Outcome // of a, a, b, c
		want    []string
	}{
		"drained":                    {results: []Outcome{Done, Done, Done, Done}, want: []string{"a0", "a1", "b0", "c0"}},
		"drained, and one fails":     {results: []Outcome{Done, Retry, Done, Retry}, want: []string{"a0", "b0"}},
		"drained, and the run fails": {results: []Outcome{Retry, Retry, Done, Done}, want: []string{"b0", "c0"}},
		"closed":                     {close: true, results: []Outcome{Done, Done, Done, Retry}, want: []string{"a0"}},
		"closed, and one fails":      {close: true, results: []Outcome{Done, Retry, Done, Done}, want: []string{"a0"}},
	} {
		synctest.Test(t, func(t *testing.T) {
			h := &ending{}
			d := New[string](Config{}, h)
			o := d.NewOwner(nil)
			h.end = o.DrainLocked
			if c.close {
				h.end = o.CloseLocked
			}
			for i, key := range []string{"a", "b", "c", "a", "a", "b"} {
				value := fmt.Sprint(key, map[int]int{3: 1, 4: 2, 5: 1}[i])
				d.Add(&Task[string]{Value: value, Owner: o, Key: key, Together: true, MaxBatch: 4, Bytes: 1})
			}
			time.Sleep(time.Minute)
			synctest.Wait()
			require.Len(t, h.batches, 1, name)
			results := make([]Result, len(h.batches[0].Tasks))
			for i := range results {
				results[i].Outcome = c.results[i]
			}
			h.batches[0].Done(results)
			stats := d.Stats()
			assert.Equal(t, c.want, h.finished, name)
			assert.Equal(t, []int{0, 0}, []int{stats.Held, stats.HeldBytes}, name)
			assert.Zero(t, o.chains.n, name)
			d.Stop()
		})
	}
}
