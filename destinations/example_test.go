package destinations_test

import (
	"fmt"

	"github.com/landfall-dev/landfall/destinations"
)

// A program that embeds the runtime looks destinations up by their slugs, or by the names that Segment has for them.
func ExampleRegistry() {
	registry, err := destinations.Registry()
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, slug := range []string{"webhook", "actions-webhook"} {
		entry, err := registry.Find(slug)
		fmt.Println(entry.Definition.Name, err)
	}
	// Output:
	// Webhook <nil>
	// Webhook <nil>
}
