package instances

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/destinations"
	"github.com/landfall-dev/landfall/framework/destination/oauth"
	"github.com/landfall-dev/landfall/framework/runtime/config"
)

const sealedConfig = `
state: {key: "file:landfall.key"}
destinations:
  - id: main
    name: Main workspace
    destination: braze-cohorts
    settings: {client_secret: "secret:main/client_secret", partner_api_key: partner}
    subscriptions: [{action: syncAudiences, mapping: {personas_audience_key: vip}}]
`

// sealedDir writes a config and its key into a new directory, and returns the path of the config.
func sealedDir(t *testing.T, text string) string {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "landfall.key"), []byte(oauth.NewKey()), 0o600))
	path := filepath.Join(dir, "landfall.yaml")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

func loadAll(path string, target Target) ([]Instance, error) {
	cfg, problems := config.Load(path, config.Env{})
	return Load(cfg, problems, Options{Target: &target, Catalog: Catalog{Plugins: destinations.All()}})
}

func TestSealedSecretsAreOpenedForEveryTarget(t *testing.T) {
	path := sealedDir(t, sealedConfig)
	_, err := loadAll(path, Target{DryRun: true})
	assert.ErrorContains(t, err, "is a secret in the state, which does not exist")
	assert.NoFileExists(t, filepath.Join(filepath.Dir(path), DefaultData, "state.db"), "reading a config must not create the state")

	cfg, problems := config.Load(path, config.Env{})
	require.Empty(t, problems)
	store, err := OpenState(t.Context(), cfg, "", "")
	require.NoError(t, err)
	_, err = loadAll(path, Target{DryRun: true})
	assert.ErrorContains(t, err, "has none named main/client_secret")
	require.NoError(t, WriteSecret(t.Context(), cfg, store, "main/client_secret", "typed-1"))
	require.NoError(t, store.Close())
	assert.NotContains(t, fileTexts(t, filepath.Dir(path)), "typed-1", "the secret must be encrypted")

	var before string
	for _, target := range []Target{{DryRun: true}, {Sandbox: true}, {Live: true}} {
		list, err := loadAll(path, target)
		require.NoError(t, err)
		assert.Equal(t, "typed-1", list[0].Config.Settings.Get("client_secret").Str())
		assert.Equal(t, "Main workspace", list[0].Config.Name)
		before = list[0].ConfigVersion()
	}
	store, err = OpenState(t.Context(), cfg, "", "")
	require.NoError(t, err)
	defer store.Close()
	require.NoError(t, WriteSecret(t.Context(), cfg, store, "main/client_secret", "typed-2"))
	list, err := loadAll(path, Target{DryRun: true})
	require.NoError(t, err)
	assert.NotEqual(t, before, list[0].ConfigVersion(), "a new secret is a new version, so that delivery uses it")

	require.NoError(t, os.WriteFile(filepath.Join(filepath.Dir(path), "landfall.key"), []byte(oauth.NewKey()), 0o600))
	_, err = loadAll(path, Target{Sandbox: true})
	assert.ErrorContains(t, err, "cannot be decrypted with the key in state.key")
	require.NoError(t, store.DeleteSecret(t.Context(), "main/client_secret"))
	_, err = loadAll(path, Target{Sandbox: true})
	assert.ErrorContains(t, err, "has none named main/client_secret")
}

// fileTexts returns the content of all files below a directory.
func fileTexts(t *testing.T, dir string) (all string) {
	require.NoError(t, filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		all += string(text)
		return err
	}))
	return all
}

func TestNameOfInstanceDoesNotChangeItsVersion(t *testing.T) {
	version := func(name string) string {
		cfg, problems := config.Parse("landfall.yaml", []byte(`{destinations: [{id: a, destination: webhook, `+name+` subscriptions: []}]}`), config.Env{})
		require.Empty(t, problems)
		return cfg.Instances[0].Version()
	}
	assert.Equal(t, version(""), version("name: Shop,"))
	assert.Equal(t, version("name: Blog,"), version("name: Shop,"))
}
