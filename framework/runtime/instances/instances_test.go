package instances

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/destinations"
	"github.com/landfall-dev/landfall/framework/runtime/config"
)

// TestAChangedDefinitionIsANewVersion checks that a changed definition is detected when the config is reloaded, although the config
// is the same.
func TestAChangedDefinitionIsANewVersion(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644))
	}
	definition := func(url string) {
		write("defs/zorg/destination.yaml", `{name: Zorg, slug: zorg, mode: cloud, authentication: {scheme: none}, actions: {send: {title: Send, defaultSubscription: type = "track", fields: {}, request: {url: "`+url+`"}}}}`)
	}
	write("landfall.yaml", `{definitions: defs, destinations: [{id: a, destination: zorg, subscriptions: [{action: send}]}, {id: b, destination: webhook, subscriptions: []}]}`)
	versions := func() (zorg, webhook string) {
		cfg, problems := config.Load(filepath.Join(dir, "landfall.yaml"), config.Env{})
		instances, err := Load(cfg, problems, Options{Target: &Target{DryRun: true}, Catalog: Catalog{Plugins: destinations.All()}})
		require.NoError(t, err)
		return instances[0].ConfigVersion(), instances[1].ConfigVersion()
	}
	definition("https://one.example.com")
	zorg, webhook := versions()
	again, _ := versions()
	assert.Equal(t, zorg, again)
	definition("https://two.example.com")
	changed, same := versions()
	assert.NotEqual(t, zorg, changed)
	assert.Equal(t, webhook, same)
}
