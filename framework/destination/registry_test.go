package destination_test

import (
	"io/fs"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/destination"
)

// countingFS counts how often a file is opened.
type countingFS struct {
	fs.FS
	opened *int
}

func (f countingFS) Open(name string) (fs.File, error) {
	*f.opened++
	return f.FS.Open(name)
}

// aliased returns a plugin with an alias, and the number of times its definition was read.
func aliased(slug, alias, rest string) (destination.Plugin, *int) {
	text := "name: Name of " + slug + "\nslug: " + slug + "\naliases: [" + alias + "]\nmode: cloud\ndescription: One.\nauthentication: {scheme: custom, fields: {}}\n" +
		"actions: {send: {title: Send, description: Sends., fields: {}, request: {method: POST, url: 'https://example.com'}}}\n" + rest
	opened := new(int)
	return destination.Plugin{Definition: countingFS{fstest.MapFS{"destination.yaml": {Data: []byte(text)}}, opened}}, opened
}

func TestNamedPluginsAreReadOnceWhenUsed(t *testing.T) {
	one, ones := aliased("one", "actions-one", "")
	two, twos := aliased("two", "actions-two", "")
	plugins := []destination.Plugin{two.Named("two", "actions-two"), one.Named("one", "actions-one")}
	for range 2 { // two registries of the same plugins
		registry, err := destination.NewRegistry(plugins)
		require.NoError(t, err)
		assert.True(t, registry.Has("actions-two"))
		entry, err := registry.Find("actions-one")
		require.NoError(t, err)
		assert.Equal(t, "Name of one", entry.Definition.Name)
		assert.Contains(t, entry.Plugin.Actions, "send", "the action that the definition declares")
		_, err = registry.Find("actions-tow")
		assert.ErrorIs(t, err, destination.ErrUnknown)
		assert.EqualError(t, err, `there is no destination "actions-tow" (did you mean "actions-two"?)`)
		_, err = registry.Find("crm")
		assert.EqualError(t, err, `there is no destination "crm": landfall list shows all; those without code are in a directory that --definitions or the config's definitions names`)
		plugins = registry.Plugins()
	}
	assert.Equal(t, 1, *ones)
	assert.Equal(t, 0, *twos)
	registry, err := destination.NewRegistry(plugins)
	require.NoError(t, err)
	entries, err := registry.Entries()
	require.NoError(t, err)
	assert.Equal(t, "one", entries[0].Definition.Slug)
	assert.Equal(t, "two", entries[1].Definition.Slug)
	assert.Equal(t, 1, *ones)
	assert.Equal(t, 1, *twos)
}

func TestUnnamedPluginsAreReadOnceByRegistriesOfARegistry(t *testing.T) {
	one, ones := aliased("one", "actions-one", "")
	registry, err := destination.NewRegistry([]destination.Plugin{one})
	require.NoError(t, err)
	again, err := destination.NewRegistry(registry.Plugins())
	require.NoError(t, err)
	assert.True(t, again.Has("actions-one"))
	assert.Equal(t, 1, *ones)
}

func TestProblemsOfNamedPlugins(t *testing.T) {
	renamed, _ := aliased("one", "actions-one", "")
	broken, _ := aliased("two", "actions-two", "colour: red\n")
	registry, err := destination.NewRegistry([]destination.Plugin{renamed.Named("one"), broken.Named("two", "actions-two")})
	require.NoError(t, err)
	_, err = registry.Find("one")
	assert.ErrorContains(t, err, "destination.yaml:2:7: /slug and the aliases are one, actions-one, but registry_gen.go has one: run landfall generate")
	_, err = registry.Find("two")
	assert.ErrorContains(t, err, "colour")
	_, err = registry.Entries()
	assert.ErrorContains(t, err, "run landfall generate")
	assert.ErrorContains(t, err, "colour", "every problem of every definition")
}

func TestNamesAreUniqueBeforeDefinitionsAreRead(t *testing.T) {
	one, _ := aliased("one", "same", "")
	two, _ := aliased("two", "same", "")
	one.File, two.File = "one/destination.yaml", "two/destination.yaml"
	for _, plugins := range [][]destination.Plugin{{one.Named("one", "same"), two.Named("two", "same")}, {one, two}, {one.Named("one", "same"), two}} {
		_, err := destination.NewRegistry(plugins)
		assert.EqualError(t, err, `two destinations have the name "same": Name of one (one/destination.yaml) and Name of two (two/destination.yaml)`)
	}
}

// TestProblemsOfUnnamedPlugins checks that a registry names every problem of every definition, and has no destination then.
func TestProblemsOfUnnamedPlugins(t *testing.T) {
	good, _ := aliased("one", "actions-one", "")
	broken, _ := aliased("two", "actions-two", "colour: red\n")
	missing := destination.Plugin{Definition: fstest.MapFS{}}
	registry, err := destination.NewRegistry([]destination.Plugin{broken, good, missing})
	assert.ErrorContains(t, err, "colour")
	assert.ErrorContains(t, err, "reading the definition: open destination.yaml: file does not exist")
	assert.Nil(t, registry)
}
