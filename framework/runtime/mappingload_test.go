package runtime_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/runtime"
	"github.com/landfall-dev/landfall/framework/runtime/config"
	"github.com/landfall-dev/landfall/internal/author/sample"
)

func TestConfigsThatDeliverNothing(t *testing.T) {
	warnings, lines := loadSample(t, `{action: upsertUser, mapping: {address: not-to-be-seen}}`)
	assert.Empty(t, warnings)
	assert.Equal(t, []string{`landfall.yaml:5:61 /destinations/0/subscriptions/0/mapping/address Address should be an object but is the text "[hidden]", so every event is refused`}, lines)
	warnings, lines = loadSample(t, `{action: upsertUser, mapping: {id: null}, enabled: false}`)
	assert.Empty(t, lines)
	assert.Equal(t, []string{`/destinations/0/subscriptions/0/mapping/id gives no value to the required field ID (id): null, so every event is refused`}, warnings)
	_, lines = loadSample(t, `{action: upsertUser, subscribe: 'type == 1', mapping: {id: ""}}`)
	assert.Len(t, lines, 2, "all mistakes are reported together")

	_, err := runtime.New(sample.Plugin(), sampleDefinition(t), sampleInstance(`[{"action":"upsertUser","mapping":{"id":null}}]`), runtime.Host{})
	assert.NoError(t, err, "a plan without a config file refuses each event")
}

func TestQueriesThatMatchNoEvent(t *testing.T) {
	for query, want := range map[string][]string{
		`type = \"track\" and type = \"page\"`:              {`/destinations/0/subscriptions/0/subscribe matches no event: it requires type to be "track" and also "page"`},
		`event in [\"a\",\"b\"] and event = \"c\"`:          {`/destinations/0/subscriptions/0/subscribe matches no event: it requires event to be "a" or "b" and also "c"`},
		`type = \"trakc\"`:                                  {`/destinations/0/subscriptions/0/subscribe matches no event: there is no type "trakc" (did you mean "track"?)`},
		`type = \"track\" or type = \"trakc\"`:              nil,
		`event = \"a\" and event != \"b\"`:                  nil,
		`event in [\"a\",\"b\"] and event in [\"b\",\"c\"]`: nil,
	} {
		warnings, lines := loadSample(t, `{action: upsertUser, subscribe: "`+query+`"}`)
		assert.Empty(t, lines, query)
		assert.Equal(t, want, warnings, query)
	}
}

// loadSample loads a config of the sample destination with one subscription, and returns the warnings and the mistakes.
func loadSample(t *testing.T, subscription string) (warnings, mistakes []string) {
	registry, err := destination.NewRegistry([]destination.Plugin{sample.Plugin()})
	require.NoError(t, err)
	text := "destinations:\n  - id: main\n    destination: sample\n    settings: {key: \"${KEY}\"}\n    subscriptions: [" + subscription + "]\n"
	cfg, problems := config.Parse("landfall.yaml", []byte(text), config.Env{Lookup: func(string) (string, bool) { return "not-to-be-seen", true }})
	for _, in := range cfg.Instances {
		plan, err := runtime.LoadInstance(cfg, in, registry, nil)
		for _, p := range append(problems, fault.ProblemsOf(err)...) {
			mistakes = append(mistakes, p.File+":"+fmt.Sprint(p.Line)+":"+fmt.Sprint(p.Column)+" "+p.Pointer+" "+p.Message)
		}
		if err == nil {
			warnings = problemLines(plan.Warnings().Err())
		}
	}
	return warnings, mistakes
}
