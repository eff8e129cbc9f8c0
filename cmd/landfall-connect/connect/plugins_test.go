package connect_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/cmd/landfall-connect/connect"
	"github.com/landfall-dev/landfall/destinations"
	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/internal/author/sample"
)

// mapped sends one event through landfall_map with a config, and returns the error of the pipeline.
func mapped(t *testing.T, plugins []destination.Plugin, config string) error {
	t.Helper()
	env := service.GlobalEnvironment().Clone()
	require.NoError(t, connect.Register(env, plugins...))
	builder := env.NewStreamBuilder()
	require.NoError(t, builder.SetYAML(`
input: {generate: {count: 1, mapping: 'root = {"type": "track", "event": "Bought", "userId": "u1", "messageId": "m1"}'}}
pipeline: {processors: [{landfall_map: {config: `+config+`}}]}
output: {drop: {}}`))
	require.NoError(t, builder.SetLoggerYAML("level: off"))
	stream, err := builder.Build()
	if err != nil {
		return err
	}
	return stream.Run(t.Context())
}

// The components deliver to the destinations of the program, and to those that the config's directory of definitions has.
func TestPluginsAndDefinitions(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		file := filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
		return file
	}
	own := write("own.yaml", `destinations: [{id: main, destination: sample, settings: {key: k}, subscriptions: [{action: importUser}]}]`)
	assert.NoError(t, mapped(t, []destination.Plugin{sample.Plugin()}, own))
	assert.ErrorContains(t, mapped(t, destinations.All(), own), `"sample"`)

	write("defs/acme/destination.yaml", `{name: Acme, slug: acme, mode: cloud, authentication: {scheme: none}, actions: {send: {title: Send, defaultSubscription: type = "track", fields: {}, request: {url: "https://api.acme.example"}}}}`)
	defined := write("defined.yaml", `{definitions: defs, destinations: [{id: main, destination: acme, subscriptions: [{action: send}]}]}`)
	assert.NoError(t, mapped(t, nil, defined))
	write("defs/sample/destination.yaml", `{name: Other, slug: sample, mode: cloud, authentication: {scheme: none}, actions: {send: {title: Send, fields: {}, request: {url: "https://api.acme.example"}}}}`)
	assert.ErrorContains(t, mapped(t, []destination.Plugin{sample.Plugin()}, defined), `two destinations have the name "sample"`)
}

func TestTwoDestinationsWithOneNameAreRefused(t *testing.T) {
	err := connect.Register(service.GlobalEnvironment().Clone(), sample.Plugin(), sample.Plugin())
	assert.ErrorContains(t, err, `two destinations have the name "sample"`)
}
