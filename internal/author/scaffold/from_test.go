package scaffold_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/internal/author/generate"
	"github.com/landfall-dev/landfall/internal/author/scaffold"
)

// definitions are definitions of various forms, by slug.
var definitions = map[string]string{
	"full": `
# Everything that needs code.
name: Full
slug: full
aliases: [actions-full]
mode: cloud
authentication:
  scheme: custom
  fields:
    region: {label: Region, type: string, choices: [us, eu], required: true}
    apiKey: {label: Key, type: password, required: true}
    short: {label: Short, type: string, maximum: 3, required: true}
audienceConfig: {mode: {type: synced, full_audience_sync: false}}
audienceFields: {owner: {label: Owner, type: string, required: true}}
presets:
  - {name: People, type: automatic, action: upsertUsers, subscribe: type = "identify", mapping: {plan: free}}
actions:
  upsertUsers:
    title: Upsert Users
    defaultSubscription: type = "identify"
    syncMode: {label: Mode, choices: [{label: Add, value: add}, {label: Update, value: update}]}
    hooks:
      onMappingSave:
        label: Make a list
        inputFields: {name: {label: Name, type: string}}
        outputTypes: {id: {label: ID, type: string}}
    fields:
      userId: {label: User, type: string, required: true, default: {"@path": $.userId}}
      user_id: {label: Same name in Go, type: string, required: true, minimum: 40}
      email: {label: Email, type: string, format: email, required: true, allowNull: true}
      ids: {label: IDs, type: integer, multiple: true, required: true, minimum: 5}
      plan: {label: Plan, type: string, choices: [{label: Free, value: free}, pro], required: true}
      when: {label: When, type: datetime, required: true}
      price: {label: Price, type: number, required: true}
      good: {label: Good, type: boolean, required: true}
      free: {label: Free, type: object, required: true}
      items: {label: Items, type: object, multiple: true, required: true, properties: {url: {label: URL, type: string, format: uri, required: true}}}
      batch_size: {label: Size, type: integer, default: 10, unsafe_hidden: true}
      enable_batching: {label: Batch, type: boolean, default: true}
  test: {title: Test, fields: {note: {label: Note, type: string, allowNull: true}}}
  plugin: {title: Plugin, fields: {note: {label: Note, type: string}}}
  range: {title: Range, fields: {note: {label: Note, type: string, required: {match: any, conditions: [{fieldKey: other, operator: is, value: x}]}}, other: {label: Other, type: string}}}
  URLChanged: {title: URL Changed, fields: {url: {label: URL, type: string, format: uri, required: true}}}
`,
	"partly-declared": `
name: Partly Declared
slug: partly-declared
mode: cloud
authentication:
  scheme: basic
  test: handler
  fields: {username: {label: U, type: string, required: true}, password: {label: P, type: password, required: true}}
actions:
  declared:
    title: Declared
    fields: {id: {label: ID, type: string, required: true}}
    request: {method: POST, url: https://api.example/x, body: {"@path": $.payload}}
  coded: {title: Coded, defaultSubscription: type = "track", fields: {id: {label: ID, type: string, required: true}}}
`,
	"declared": `
name: Declared
slug: declared
mode: cloud
authentication: {scheme: none}
actions:
  send:
    title: Send
    fields: {id: {label: ID, type: string, required: true}}
    request: {method: POST, url: https://api.example/x, body: {"@path": $.payload}}
`,
	"login": `
name: Login
slug: login
mode: cloud
authentication: {scheme: oauth2, authorizeUrl: https://login.example/authorize, tokenUrl: https://login.example/token, scopes: [write]}
actions:
  send: {title: Send, defaultSubscription: type = "identify", fields: {id: {label: ID, type: string, required: true}}}
`,
	"managed": `
name: Managed
slug: managed
mode: cloud
authentication: {scheme: oauth-managed}
actions:
  send: {title: Send, fields: {}}
`,
}

// TestPluginsOfDefinitionsPassTheirTests creates the plugins of various definitions in a separate module, and vets and tests them.
func TestPluginsOfDefinitionsPassTheirTests(t *testing.T) {
	if testing.Short() {
		t.Skip("builds a module")
	}
	root, dir := place(t)
	for slug, text := range definitions {
		file := filepath.Join(t.TempDir(), "definition.yaml")
		require.NoError(t, os.WriteFile(file, []byte(text), 0o644))
		got, made, notes, err := scaffold.From(dir, file, "")
		require.NoError(t, err, slug)
		assert.Empty(t, notes, slug)
		assert.Equal(t, slug, got)
		assert.Contains(t, made, filepath.Join(slug, "plugin.go"))
		kept, err := os.ReadFile(filepath.Join(dir, slug, destination.DefinitionFile))
		require.NoError(t, err)
		assert.Equal(t, text, string(kept), "the definition stays as it is, with its comments")
	}
	assert.FileExists(t, filepath.Join(dir, "full", "testdata", "cases", "upsert-users.yaml"))
	for _, action := range []scaffold.New{{Slug: "full", Action: "deleteContact", Batch: true}, {Slug: "managed", Action: "trackOrder"}} {
		action.Dir = dir
		_, _, err := scaffold.Action(action)
		require.NoError(t, err, action.Action)
	}
	_, err := generate.All(dir, "destinations", "example.com/crm/destinations")
	require.NoError(t, err)
	registry, err := os.ReadFile(filepath.Join(dir, "registry_gen.go"))
	require.NoError(t, err)
	for slug := range definitions {
		assert.Contains(t, string(registry), generate.PackageName(slug)+".Plugin()")
	}
	for _, command := range []string{"vet", "test"} {
		run := exec.Command("go", command, "-mod=mod", "./...")
		run.Dir = root
		out, err := run.CombinedOutput()
		require.NoError(t, err, string(out))
	}
	formatted, err := exec.Command("gofmt", "-l", root).CombinedOutput()
	require.NoError(t, err)
	assert.Empty(t, string(formatted))
}

func TestExistingDefinitionGetsAPluginOnce(t *testing.T) {
	_, dir := place(t)
	file := filepath.Join(dir, "login", destination.DefinitionFile)
	require.NoError(t, os.Mkdir(filepath.Dir(file), 0o755))
	require.NoError(t, os.WriteFile(file, []byte(definitions["login"]), 0o644))
	_, err := generate.All(dir, "destinations", "example.com/crm/destinations")
	require.NoError(t, err)
	registry, err := os.ReadFile(filepath.Join(dir, "registry_gen.go"))
	require.NoError(t, err)
	assert.NotContains(t, string(registry), "login", "a definition without a plugin would not compile")
	without, err := generate.WithoutPlugin(dir)
	require.NoError(t, err)
	assert.Equal(t, []string{file}, without)

	_, err = scaffold.Destination(scaffold.New{Dir: dir, Slug: "login"})
	assert.ErrorContains(t, err, "holds a definition without a plugin: make the plugin with landfall new destination --from "+file)
	_, _, err = scaffold.Action(scaffold.New{Dir: dir, Slug: "login", Action: "more"})
	assert.ErrorContains(t, err, "make the plugin with landfall new destination --from "+file)
	assert.NoFileExists(t, filepath.Join(dir, "login", "more.go"))

	_, made, _, err := scaffold.From(dir, file, "")
	require.NoError(t, err)
	assert.NotContains(t, made, filepath.Join("login", destination.DefinitionFile), "it is there already")
	_, _, _, err = scaffold.From(dir, file, "")
	assert.ErrorContains(t, err, "already has a plugin")
	without, err = generate.WithoutPlugin(dir)
	require.NoError(t, err)
	assert.Empty(t, without)

	_, _, _, err = scaffold.From(dir, file, "login-two")
	require.NoError(t, err)
	text, err := os.ReadFile(filepath.Join(dir, "login-two", destination.DefinitionFile))
	require.NoError(t, err)
	assert.Equal(t, strings.Replace(definitions["login"], "slug: login\n", "slug: login-two\n", 1), string(text))
	_, _, err = scaffold.Action(scaffold.New{Dir: dir, Slug: "login", Action: "more", Batch: false})
	assert.NoError(t, err, "an action can be added to what was made")
}

func TestFromRefusesBeforeAnythingIsWritten(t *testing.T) {
	_, dir := place(t)
	write := func(text string) string {
		file := filepath.Join(t.TempDir(), "d.yaml")
		require.NoError(t, os.WriteFile(file, []byte(text), 0o644))
		return file
	}
	_, _, _, err := scaffold.From(dir, write(definitions["full"]), "")
	require.NoError(t, err)
	for want, c := range map[string]struct{ file, slug, dir string }{
		"there is no such file: give --from a destination.yaml": {file: filepath.Join(t.TempDir(), "none.yaml")},
		"d.yaml:2:1":                             {file: write("\nname: X\n")},
		"already has a plugin":                   {file: write(definitions["full"])},
		`"actions-full" is already used by Full`: {file: write(strings.Replace(definitions["full"], "slug: full\n", "slug: other\n", 1))},
		`but is "Not A Slug"`:                    {file: write(definitions["login"]), slug: "Not A Slug"},
		"is not a directory of destinations":     {file: write(definitions["login"]), dir: t.TempDir()},
	} {
		if c.dir == "" {
			c.dir = dir
		}
		_, _, _, err := scaffold.From(c.dir, c.file, c.slug)
		assert.ErrorContains(t, err, want)
	}
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	assert.Len(t, entries, 2, "the registry and full")
}
