package destination_test

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/runtime"
	"github.com/landfall-dev/landfall/framework/runtime/config"
)

const browserDefinition = `
name: Web Thing
slug: web-thing
mode: device
browser: browser.js
authentication:
  scheme: custom
  fields:
    key: {label: Key, type: password, public: true}
    locale: {label: Locale, type: string, public: true, default: en}
    empty: {label: Empty, type: string, public: true}
    secret: {label: Secret, type: password}
    note: {label: Note, type: string, public: false}
actions:
  track: {title: Track, defaultSubscription: type = "track", fields: {name: {label: Name, type: string, required: true, default: {"@path": $.event}}}}
  early: {title: Early, lifecycleHook: before, defaultSubscription: type = "identify", fields: {}}
`

// browserPlugin returns a plugin of mode device with a definition.
func browserPlugin(definition string) destination.Plugin {
	return destination.Plugin{Definition: fstest.MapFS{
		destination.DefinitionFile: {Data: []byte(definition)}, "browser.js": {Data: []byte("export default {};")},
	}}
}

func TestDefinitionWithABrowserModule(t *testing.T) {
	p := browserPlugin(browserDefinition)
	d, err := p.Load()
	require.NoError(t, err)
	assert.Equal(t, "browser.js", d.Browser)
	assert.Equal(t, "before", d.Action("early").LifecycleHook)
	assert.Empty(t, d.Action("track").LifecycleHook)
	module, err := p.BrowserModule(d)
	require.NoError(t, err)
	assert.Equal(t, "export default {};", string(module))
	settings, err := event.ParseValue([]byte(`{"key":"k","locale":"de","empty":null,"secret":"s","note":"n","other":1}`))
	require.NoError(t, err)
	assert.JSONEq(t, `{"key":"k","locale":"de"}`, d.PublicSettings(settings).JSON())
}

// TestNestedSecretsReachNoPage puts secrets into objects whose field is public, at every depth and in lists.
func TestNestedSecretsReachNoPage(t *testing.T) {
	d, err := browserPlugin(strings.Replace(browserDefinition, "    note:", `    account:
      label: Account
      type: object
      public: true
      additionalProperties: true
      properties:
        name: {label: Name, type: string}
        password: {label: Password, type: password}
        sdkKey: {label: SDK key, type: password, public: true}
        clientSecret: {label: Client secret, type: string}
        internal: {label: Internal, type: string, public: false}
        inner: {label: Inner, type: object, properties: {pin: {label: Pin, type: password}, color: {label: Color, type: string}}}
    accounts: {label: Accounts, type: object, multiple: true, public: true, properties: {id: {label: ID, type: string}, code: {label: Code, type: password}}}
    free: {label: Free, type: object, public: true}
    note:`, 1)).Load()
	require.NoError(t, err)
	settings := event.MustParse(`{"account":{"name":"shop","password":"p1","sdkKey":"k","clientSecret":"p2","internal":"p3","inner":{"pin":"p4","color":"red"},"api_key":"p5","size":3},
		"accounts":[{"id":"a","code":"p6"},{"id":"b","code":"p7"}],
		"free":{"locale":"de","password":"p8","deep":[{"auth_token":"p9","page":1}]}}`)
	assert.JSONEq(t, `{"account":{"name":"shop","sdkKey":"k","inner":{"color":"red"},"size":3},"accounts":[{"id":"a"},{"id":"b"}],"free":{"locale":"de","deep":[{"page":1}]}}`,
		d.PublicSettings(settings).JSON())
}

func TestMistakesOfBrowserModules(t *testing.T) {
	handled := browserPlugin(browserDefinition)
	handled.Actions = map[string]destination.Action{"track": {}}
	for _, c := range []struct {
		plugin destination.Plugin
		want   string
	}{
		{browserPlugin(strings.ReplaceAll(browserDefinition, "browser: browser.js", "browser: other.js")), "/browser cannot be read: open other.js"},
		{browserPlugin(strings.ReplaceAll(browserDefinition, "browser: browser.js", "browser: ../browser.js")), "/browser"},
		{browserPlugin(strings.ReplaceAll(browserDefinition, "mode: device", "mode: cloud")), "is only for the mode device, but the mode is cloud"},
		{browserPlugin(strings.ReplaceAll(browserDefinition, "browser: browser.js", "")), "is only for destinations of mode device with a browser module"},
		{browserPlugin(strings.ReplaceAll(browserDefinition, "lifecycleHook: before", "lifecycleHook: after")), "lifecycleHook"},
		{browserPlugin(strings.ReplaceAll(browserDefinition, "title: Track,", `title: Track, request: {method: POST, url: "https://example.com"},`)), "browser.js performs the actions in the browser"},
		{handled, "runs in the browser, but the plugin has a handler for it"},
	} {
		_, err := c.plugin.Load()
		assert.ErrorContains(t, err, c.want)
	}
}

// TestServerSkipsWhatBrowsersSend checks that the server maps and checks an event of such a destination, and sends nothing.
func TestServerSkipsWhatBrowsersSend(t *testing.T) {
	registry, err := destination.NewRegistry([]destination.Plugin{browserPlugin(browserDefinition)})
	require.NoError(t, err)
	cfg, problems := config.Parse("landfall.yaml", []byte(`
destinations:
  - id: web
    destination: web-thing
    settings: {key: k}
    subscriptions: [{name: Events, action: track}]
`), config.Env{})
	plans, err := runtime.Load(cfg, problems, registry, nil)
	require.NoError(t, err)
	run := func(text string) runtime.Verdict {
		e, err := event.Parse([]byte(text))
		require.NoError(t, err)
		return plans[0].Run(t.Context(), e)[0]
	}
	v := run(`{"type":"track","event":"Seen","userId":"u1"}`)
	assert.Equal(t, runtime.Skipped, v.Outcome)
	assert.Equal(t, fault.CauseRunsInBrowser, v.Cause)
	assert.JSONEq(t, `{"name":"Seen"}`, v.Sent.JSON())
	assert.Equal(t, runtime.Refused, run(`{"type":"track","userId":"u1"}`).Outcome)
}
