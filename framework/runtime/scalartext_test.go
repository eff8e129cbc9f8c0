package runtime_test

import (
	"context"
	"fmt"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/destination/sandbox"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/runtime"
	"github.com/landfall-dev/landfall/framework/runtime/config"
	"github.com/landfall-dev/landfall/internal/author/sample"
)

// whole decodes settings or a payload unchanged.
type whole struct{ all event.Value }

// Decode keeps the whole value.
func (w *whole) Decode(v event.Value) { w.all = v }

// TestTextsKeepTheirSpelling checks that settings, mappings, write keys and ids keep the text of the config where text is expected,
// and that a number with another spelling causes a warning.
func TestTextsKeepTheirSpelling(t *testing.T) {
	const definition = `
name: Acme
slug: acme
mode: cloud
authentication:
  scheme: custom
  fields:
    secret: {label: Secret, type: password}
    names: {label: Names, type: string, multiple: true}
    size: {label: Size, type: number}
actions:
  send:
    title: Send
    fields:
      code: {label: Code, type: string}
      count: {label: Count, type: integer}
      extra: {label: Extra, type: object}
`
	for _, text := range []string{"0123", "1e5", "1_000", "0x1F", "1.10", "yes", "on", "2024-01-02", "~", ".inf", "true", "True", "0o17", "12345678901234567890123"} {
		var settings, payload event.Value
		p := destination.Plugin{
			Definition: fstest.MapFS{destination.DefinitionFile: {Data: []byte(definition)}},
			Actions: map[string]destination.Action{"send": destination.Handle(destination.Handler[whole, whole]{
				Perform: func(_ context.Context, call destination.Call[whole, whole]) (*destination.Response, error) {
					settings, payload = call.Settings.all, call.Payload.all
					return nil, nil
				},
			})},
		}
		registry, err := destination.NewRegistry([]destination.Plugin{p})
		require.NoError(t, err)
		cfg, problems := config.Parse("landfall.yaml", []byte(fmt.Sprintf(`
sources: [{id: %[1]s, writeKey: %[1]s}]
destinations:
  - id: %[1]s
    destination: acme
    settings: {secret: %[1]s, names: [a, %[1]s], size: 0x10}
    subscriptions: [{name: %[1]s, action: send, subscribe: 'type = "track"', mapping: {code: %[1]s, count: 010, extra: {a: [{b: 0o17}], c: .nan, d: 15, e: false, f: True, g: ~, h: 1e5}}}]
`, text)), config.Env{})
		require.Empty(t, problems, text)
		assert.Equal(t, text, cfg.Sources[0].WriteKey)
		assert.Equal(t, text, cfg.Sources[0].ID)
		plans, err := runtime.Load(cfg, problems, registry, nil)
		require.NoError(t, err, text)
		assert.Equal(t, text, plans[0].ID())
		assert.Equal(t, text, plans[0].Subscriptions()[0].Name())
		e, err := event.Parse([]byte(`{"type":"track","userId":"u"}`))
		require.NoError(t, err)
		verdicts := plans[0].Run(t.Context(), e)
		require.Len(t, verdicts, 1)
		assert.Equal(t, text, settings.Get("secret").Str())
		assert.Equal(t, text, settings.Get("names").Index(1).Str())
		assert.Equal(t, text, payload.Get("code").Str())
		warnings := plans[0].Warnings()
		require.Len(t, warnings, 4, text)
		assert.Contains(t, warnings[0].String(), "landfall.yaml:6:")
		assert.Contains(t, warnings[0].Message, "is written 0x10 but read as the number 16")
		assert.Contains(t, warnings[1].Message, "is written 010 but read as the number 8")
		assert.Contains(t, warnings[2].Message, "is written 0o17 but read as the number 15")
		assert.Contains(t, warnings[3].Message, "is written .nan, which is not a number in JSON and is read as a text")
	}
}

// TestHookInputsAndAudienceSettingsKeepTheirSpelling checks that they, too, have the text of the config where text is expected, and warn
// otherwise.
func TestHookInputsAndAudienceSettingsKeepTheirSpelling(t *testing.T) {
	registry, err := destination.NewRegistry([]destination.Plugin{sample.Plugin()})
	require.NoError(t, err)
	cfg, problems := config.Parse("landfall.yaml", []byte(`
destinations:
  - id: main
    destination: sample
    settings: {key: k}
    audiences: {vip: {settings: {owner: 0123, days: 010}}}
    subscriptions: [{name: s, action: upsertUser, hooks: {onMappingSave: {name: 0x1F}}}]
`), config.Env{})
	require.Empty(t, problems)
	remote := sample.NewRemote()
	plans, err := runtime.Load(cfg, problems, registry, func(config.Instance, destination.Entry) (runtime.Host, error) {
		return runtime.Host{State: destination.NewMemoryState(), Transport: sandbox.Transport(remote)}, nil
	})
	require.NoError(t, err)
	require.Len(t, plans[0].Warnings(), 1)
	assert.Equal(t, "landfall.yaml:6:53: /destinations/0/audiences/vip/settings/days is written 010 but read as the number 8: write the number like that, or put it in quotes if it is text", plans[0].Warnings()[0].String())
	runHooks(t, plans[0], false)
	assert.Contains(t, remote.Log()[0], " 0x1F")
}
