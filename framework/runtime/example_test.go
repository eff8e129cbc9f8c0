package runtime_test

import (
	"context"
	"fmt"

	"github.com/landfall-dev/landfall/destinations"
	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/destination/sandbox"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/runtime"
	"github.com/landfall-dev/landfall/framework/runtime/config"
)

const exampleConfig = `
destinations:
  - id: braze-main
    destination: braze-cohorts
    settings: {endpoint: https://rest.iad-01.braze.com, client_secret: s, partner_api_key: p}
    subscriptions:
      - {name: VIP, action: syncAudiences, subscribe: 'event = "Audience Entered"', mapping: {personas_audience_key: vip}}
`

// A program loads plans with what it brings for each instance, here the sandbox in place of Braze, and takes events through them.
func ExampleLoad() {
	registry, err := destinations.Registry()
	if err != nil {
		fmt.Println(err)
		return
	}
	cfg, problems := config.Parse("landfall.yaml", []byte(exampleConfig), config.Env{})
	plans, err := runtime.Load(cfg, problems, registry, func(_ config.Instance, of destination.Entry) (runtime.Host, error) {
		return runtime.Host{Transport: sandbox.Transport(of.Plugin.Sandbox.New(nil))}, nil
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	var events []event.Event
	for _, raw := range []string{
		`{"type": "track", "event": "Audience Entered", "userId": "u1", "timestamp": "2026-01-02T03:04:05Z", "properties": {"audience_key": "vip", "vip": true},
			"context": {"personas": {"computation_class": "audience", "computation_id": "aud_1", "computation_key": "vip"}}}`,
		`{"type": "track", "event": "Signed Up", "userId": "u2"}`,
	} {
		e, err := event.Parse([]byte(raw))
		if err != nil {
			fmt.Println(err)
			return
		}
		events = append(events, e)
	}
	for i, verdicts := range plans[0].RunBatch(context.Background(), events) {
		for _, v := range verdicts {
			fmt.Println(i, v.Subscription, v.Outcome, v.Status)
		}
	}
	// Output:
	// 0 VIP delivered 200
	// 1 VIP skipped 400
}

// Every mistake in a config has its place.
func ExampleLoad_mistakes() {
	registry, err := destinations.Registry()
	if err != nil {
		fmt.Println(err)
		return
	}
	cfg, problems := config.Parse("landfall.yaml", []byte("destinations:\n  - {id: main, destination: braze-cohort, subscriptions: []}\n"), config.Env{})
	_, err = runtime.Load(cfg, problems, registry, nil)
	fmt.Println(err)
	// Output:
	// landfall.yaml:2:29: /destinations/0/destination there is no destination "braze-cohort" (did you mean "braze-cohorts"?)
}
