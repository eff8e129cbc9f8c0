package dispatch_test

import (
	"context"
	"fmt"
	"sync"

	"github.com/landfall-dev/landfall/framework/dispatch"
)

// order is what this host delivers.
type order struct{ user, item string }

// shop sends orders to a remote that is busy at first.
type shop struct {
	busy    bool // used by one batch at a time, because all orders have one lane
	senders sync.WaitGroup
}

func (s *shop) Send(b *dispatch.Batch[order]) {
	s.senders.Go(func() {
		results := make([]dispatch.Result, len(b.Tasks))
		for i, t := range b.Tasks {
			if t.Value.item == "tea" && s.busy {
				s.busy = false
				results[i].Outcome = dispatch.Retry
			}
		}
		b.Done(results)
	})
}

func (s *shop) Finished(t *dispatch.Task[order], _ dispatch.Result) {
	fmt.Println(t.Value.user, t.Value.item, "after", t.Attempts(), "attempts")
}

func (s *shop) Retried(t *dispatch.Task[order], _ dispatch.Result) {
	fmt.Println(t.Value.user, t.Value.item, "is tried again")
}

func (s *shop) Exhausted(tasks []*dispatch.Task[order], _ dispatch.Result) int {
	for _, t := range tasks {
		fmt.Println(t.Value.user, t.Value.item, "failed")
	}
	return len(tasks) // they are done with
}

// A host delivers the orders of each user in order. While Ann's tea is retried, her cup waits and Bob's does not.
func Example() {
	s := &shop{busy: true}
	d := dispatch.New(dispatch.Config{MaxBatches: 4}, s)
	defer d.Stop()
	for _, o := range []order{{"ann", "tea"}, {"ann", "cup"}, {"bob", "cup"}} {
		d.Add(&dispatch.Task[order]{Value: o, Lane: dispatch.Lane{Name: "orders"}, Key: o.user, MaxBatch: 100})
	}
	d.Flush() // there are no more orders to wait for
	if err := d.Wait(context.Background(), func(held, _ int) bool { return held == 0 }); err != nil {
		fmt.Println(err)
	}
	s.senders.Wait()
	// Output:
	// ann tea is tried again
	// bob cup after 1 attempts
	// ann tea after 2 attempts
	// ann cup after 1 attempts
}
