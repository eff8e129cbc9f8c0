package config_test

import (
	"fmt"

	"github.com/landfall-dev/landfall/framework/runtime/config"
)

// A config is read with every mistake in it, each with its place.
func ExampleParse() {
	cfg, problems := config.Parse("landfall.yaml", []byte(`
destinations:
  - id: crm
    destination: acme
    settings: {api_key: "${ACME_KEY}"}
    subscriptons: []
`), config.Env{Lookup: func(name string) (string, bool) { return "from the environment", name == "ACME_KEY" }})
	fmt.Println(cfg.Instances[0].ID, cfg.Instances[0].Settings.Get("api_key").Str())
	for _, p := range problems {
		fmt.Println(p)
	}
	// Output:
	// crm from the environment
	// landfall.yaml:3:5: /destinations/0 should have the key "subscriptions"
	// landfall.yaml:6:19: /destinations/0/subscriptons is not a known key (did you mean "subscriptions"?)
}
