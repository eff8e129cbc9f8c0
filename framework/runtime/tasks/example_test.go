package tasks_test

import (
	"context"
	"fmt"
	"sync"

	"github.com/landfall-dev/landfall/destinations"
	"github.com/landfall-dev/landfall/framework/dispatch"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/runtime"
	"github.com/landfall-dev/landfall/framework/runtime/config"
	"github.com/landfall-dev/landfall/framework/runtime/instances"
	"github.com/landfall-dev/landfall/framework/runtime/tasks"
)

type task = dispatch.Task[runtime.Item]

// host delivers the batches of a dispatcher with a plan.
type host struct {
	plan    *runtime.Plan
	senders sync.WaitGroup
}

func (h *host) Send(b *dispatch.Batch[runtime.Item]) {
	h.senders.Go(func() {
		items, results := make([]runtime.Item, len(b.Tasks)), make([]dispatch.Result, len(b.Tasks))
		for i, t := range b.Tasks {
			items[i] = t.Value
		}
		for i, v := range h.plan.Deliver(context.Background(), items) {
			b.Tasks[i].Value.Operation = v.Operation // to poll it, if the outcome is Pending
			results[i] = tasks.ResultOf(&v)
		}
		b.Done(results)
	})
}

func (h *host) Finished(t *task, _ dispatch.Result) {
	fmt.Println(t.Value.Event.Value().Get("event").Str(), "of", t.Key, "is done")
}

func (h *host) Retried(*task, dispatch.Result) {}

// Exhausted would keep the tasks for later. It takes all of them, so that the dispatcher forgets them.
func (h *host) Exhausted(tasks []*task, _ dispatch.Result) int { return len(tasks) }

// A host keeps the events of each user in order, batches and retries them, with a dispatcher.
func Example() {
	cfg, problems := config.Parse("landfall.yaml", []byte(`
destinations:
  - id: hook
    destination: webhook
    subscriptions:
      - {name: all, action: send, subscribe: 'type = "track"', mapping: {url: https://hooks.example.com}}
`), config.Env{})
	loaded, err := instances.Load(cfg, problems, instances.Options{
		Target: &instances.Target{Sandbox: true}, Catalog: instances.Catalog{Plugins: destinations.All()},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	h := &host{plan: loaded[0].Plan}
	d := dispatch.New(dispatch.Config{MaxBatches: 4}, h)
	defer d.Stop()
	for _, name := range []string{"Signed Up", "Paid"} {
		e, err := event.Parse(fmt.Appendf(nil, `{"type": "track", "event": %q, "userId": "u1"}`, name))
		if err != nil {
			fmt.Println(err)
			return
		}
		for _, s := range h.plan.Offered(e) {
			item, verdict := h.plan.Prepare(s, e, 0)
			if verdict != nil {
				continue // nothing to send; the verdict says why
			}
			t := &task{Value: item, Key: tasks.KeyOf(item)}
			tasks.Describe(t, h.plan, item)
			d.Add(t)
		}
	}
	d.Flush()
	if err := d.Wait(context.Background(), func(held, _ int) bool { return held == 0 }); err != nil {
		fmt.Println(err)
	}
	h.senders.Wait()
	// Output:
	// Signed Up of u:u1 is done
	// Paid of u:u1 is done
}
