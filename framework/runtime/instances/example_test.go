package instances_test

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/landfall-dev/landfall/destinations"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/runtime/config"
	"github.com/landfall-dev/landfall/framework/runtime/instances"
)

// A program loads the instances of a config as landfall does. This one sends to the sandboxes; with Target{Live: true} it sends to the
// real remotes, and with a Store from OpenState it keeps audiences and tokens.
func ExampleLoad() {
	cfg, problems := config.Parse("landfall.yaml", []byte(`
destinations:
  - id: crm
    destination: webhook
    subscriptions:
      - {name: Sign-ups, action: send, subscribe: 'event = "Signed Up"', mapping: {url: https://crm.example.com}}
`), config.Env{})
	loaded, err := instances.Load(cfg, problems, instances.Options{
		Target:  &instances.Target{Sandbox: true},
		Catalog: instances.Catalog{Plugins: destinations.All()},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	signUp, err := event.Parse([]byte(`{"type": "track", "event": "Signed Up", "userId": "u1"}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, in := range loaded {
		for _, v := range in.Plan.Run(context.Background(), signUp) {
			fmt.Println(in.Config.ID, v.Subscription, v.Outcome, v.Status)
		}
	}
	// Output:
	// crm Sign-ups delivered 200
}

// A program replaces the plans of a changed config while it runs. One with mistakes changes nothing. Batches of the old plans are delivered to
// their end, and what is left of the limits passes on to the new ones.
func ExampleClose() {
	ctx := context.Background()
	var current atomic.Pointer[[]instances.Instance]
	options := instances.Options{
		Target: &instances.Target{Sandbox: true}, Catalog: instances.Catalog{Plugins: destinations.All()},
		Budgets: instances.NewBudgets(nil), Remotes: instances.NewRemotes(),
	}
	reload := func(text string) error {
		cfg, problems := config.Parse("landfall.yaml", []byte(text), config.Env{})
		loaded, err := instances.Load(cfg, problems, options)
		if err != nil {
			return err // the plans in use stay
		}
		if old := current.Swap(&loaded); old != nil {
			return instances.Close(ctx, *old) // after the calls that are running
		}
		return nil
	}
	const text = `destinations: [{id: crm, destination: webhook, subscriptions: [
  {name: %s, action: send, subscribe: 'type = "track"', mapping: {%s: https://crm.example.com}}]}]`
	e, err := event.Parse([]byte(`{"type": "track", "event": "Signed Up", "userId": "u1"}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, change := range [][2]string{{"First", "url"}, {"Second", "ulr"}, {"Third", "url"}} {
		if err := reload(fmt.Sprintf(text, change[0], change[1])); err != nil {
			fmt.Println(err)
		}
		for _, in := range *current.Load() {
			for _, v := range in.Plan.Run(ctx, e) {
				fmt.Println(v.Subscription, v.Outcome)
			}
		}
	}
	// Output:
	// First delivered
	// landfall.yaml:2:70: /destinations/0/subscriptions/0/mapping maps nothing to the required field URL (url), which has no default, so every event is refused
	// First delivered
	// Third delivered
}
