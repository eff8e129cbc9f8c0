package instances_test

import (
	"context"
	"fmt"

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
