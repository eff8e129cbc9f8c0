package stream_test

import (
	"context"
	"fmt"
	"strings"

	"github.com/landfall-dev/landfall/destinations"
	"github.com/landfall-dev/landfall/framework/files/stream"
	"github.com/landfall-dev/landfall/framework/runtime"
	"github.com/landfall-dev/landfall/framework/runtime/config"
	"github.com/landfall-dev/landfall/framework/runtime/instances"
)

// A program delivers a file of events to the instances of a config.
func ExampleRunner() {
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
	var total stream.Summary
	runner := stream.New(stream.Config{
		Plans: []*runtime.Plan{loaded[0].Plan},
		OnEvent: func(e stream.Event) error {
			total.Add(e)
			for _, v := range e.Verdicts {
				fmt.Printf("line %d %s: %d\n", e.Line, v.Outcome, v.Status)
			}
			return nil
		},
	})
	file := strings.NewReader(`{"type": "track", "event": "Signed Up", "userId": "u1"}
{"type": "page", "userId": "u1"}
`)
	if err := runner.Run(context.Background(), file); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(total.Delivered, "of", total.Events, "delivered")
	// Output:
	// line 1 delivered: 200
	// line 2 skipped: 400
	// 1 of 2 delivered
}
