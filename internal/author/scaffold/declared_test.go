package scaffold_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/language/fieldschema"
	"github.com/landfall-dev/landfall/internal/author/scaffold"
	"github.com/landfall-dev/landfall/internal/author/suite"
	"github.com/landfall-dev/landfall/internal/testsize"
)

// checkDeclared runs the checks of every destination on the one without code in a directory, but for those of descriptions and the
// findings of what its definition already said.
func checkDeclared(t *testing.T, dir string, given ...string) {
	t.Helper()
	findings, err := suite.Find(destination.InFolder(dir), dir, suite.Options{})
	require.NoError(t, err)
	for _, f := range findings {
		if f.Check != destination.CheckDescriptions && !slices.Contains(given, f.Of) {
			t.Errorf("%s: %s: %s", filepath.Base(dir), f.Check, f)
		}
	}
}

// TestDeclaredDestinationsPassEveryCheck creates a destination without code of each scheme and kind.
func TestDeclaredDestinationsPassEveryCheck(t *testing.T) {
	dir := t.TempDir()
	for i, scheme := range scaffold.Schemes() {
		for slug, n := range map[string]scaffold.New{
			"batch": {Batch: true}, "alone": {}, "audience": {Audience: true}, "deletes": {Action: "deleteContact", Batch: true}, "updates": {Action: "updateContact", Name: "A: b"},
		} {
			if testsize.Small() && (slug == "alone" || slug == "updates") == (i%2 == 0) {
				continue
			}
			n.Dir, n.Slug, n.Scheme = dir, slug+"-"+scheme, scheme
			made, err := scaffold.Declared(n)
			require.NoError(t, err)
			assert.Contains(t, made, filepath.Join(n.Slug, destination.SandboxFile))
			checkDeclared(t, filepath.Join(dir, n.Slug))
			_, err = scaffold.Declared(n)
			assert.ErrorContains(t, err, "already exists: choose another name")
		}
	}
	_, err := scaffold.Declared(scaffold.New{Dir: dir, Slug: "Not A Slug"})
	assert.ErrorContains(t, err, `but is "Not A Slug"`)
}

// TestDefinitionsGetRequests makes destinations without code of definitions whose actions, hooks and audiences had code.
func TestDefinitionsGetRequests(t *testing.T) {
	dir := t.TempDir()
	for slug, text := range definitions {
		file := filepath.Join(t.TempDir(), "definition.yaml")
		require.NoError(t, os.WriteFile(file, []byte(text), 0o644))
		got, _, notes, err := scaffold.DeclaredFrom(dir, file, "")
		require.NoError(t, err, slug)
		assert.Empty(t, notes, slug)
		assert.Equal(t, slug, got)
		checkDeclared(t, filepath.Join(dir, slug), map[string][]string{
			"full": {"URLChanged", "presets.People"}, "partly-declared": {"declared"}, "declared": {"send"},
		}[slug]...)
	}
	text, err := os.ReadFile(filepath.Join(dir, "full", destination.DefinitionFile))
	require.NoError(t, err)
	assert.Contains(t, string(text), "# Everything that needs code.", "comments stay")

	file := filepath.Join(t.TempDir(), "device.yaml")
	require.NoError(t, os.WriteFile(file, []byte("name: D\nslug: d\nmode: device\nbrowser: b.js\nauthentication: {scheme: none}\nactions: {a: {title: A, fields: {}}}\n"), 0o644))
	_, _, _, err = scaffold.DeclaredFrom(dir, file, "")
	assert.ErrorContains(t, err, "the actions of D run in the browser")
}

// TestMetadataBecomesADestination makes destinations of Segment's metadata as JSON, with and without code.
func TestMetadataBecomesADestination(t *testing.T) {
	file := filepath.Join(t.TempDir(), "zeta.json")
	require.NoError(t, os.WriteFile(file, []byte(`{"data":{"destinationMetadata":{"name":"Zeta","slug":"actions-zeta","description":"Keeps users.",
		"options":[{"name":"apiKey","label":"Key","description":"The key.","type":"password","required":true}],
		"actions":[{"id":"1","slug":"createContact","name":"Create Contact","description":"Creates one.","defaultTrigger":"type = \"identify\"",
			"fields":[{"fieldKey":"id","label":"ID","description":"The id.","type":"STRING","required":true,"defaultValue":{"@path":"$.userId"}},
				{"fieldKey":"shape","label":"Shape","description":"A shape.","type":"POLYGON"},{"fieldKey":"tag","label":"Tag","description":"A tag.","type":"HIDDEN"}]}],
		"presets":[{"actionId":"1","name":"People","trigger":"type = \"identify\"","fields":{"id":{"@path":"$.userId"},"shape":"round"}}],"onDelete":true}}}`), 0o644))
	dir := t.TempDir()
	slug, made, notes, err := scaffold.DeclaredFrom(dir, file, "")
	require.NoError(t, err)
	assert.Equal(t, "zeta", slug)
	assert.NotEmpty(t, made)
	said := strings.Join(notes, "\n")
	assert.Contains(t, said, "the scheme is custom, and request.headers must use the settings")
	assert.Contains(t, said, `/fields/1/type is not imported: `, "a field of an unknown type")
	assert.Contains(t, said, "the mapping of shape is not imported: the action createContact has no such field")
	assert.NotContains(t, said, "handler", "the destination has no code")
	d, err := destination.FromDirectory(dir)
	require.NoError(t, err)
	definition, err := d[0].Load()
	require.NoError(t, err)
	action := definition.Action("createContact")
	assert.Equal(t, []string{"id", "tag"}, action.Fields.Keys())
	assert.Equal(t, fieldschema.Type("string"), action.Fields.Find("id").Type)
	assert.Equal(t, `{"id":{"@path":"$.userId"}}`, definition.Presets[0].Mapping.JSON())
	checkDeclared(t, filepath.Join(dir, "zeta"))

	_, module := place(t)
	_, made, notes, err = scaffold.From(module, file, "zeta-two")
	require.NoError(t, err)
	assert.Contains(t, strings.Join(notes, "\n"), "the aliases of zeta are left out, since the slug is another one: actions-zeta")
	assert.Contains(t, made, filepath.Join("zeta-two", "plugin.go"))
	for text, want := range map[string]string{`{"data":{}}`: "is not the metadata of a destination", `{"data"`: "d.json:1"} {
		file := filepath.Join(t.TempDir(), "d.json")
		require.NoError(t, os.WriteFile(file, []byte(text), 0o644))
		_, _, _, err := scaffold.DeclaredFrom(dir, file, "")
		assert.ErrorContains(t, err, want)
	}
}

// TestActionsOfDeclaredDestinations adds actions to destinations without code, of which one is not like those of Declared.
func TestActionsOfDeclaredDestinations(t *testing.T) {
	dir := t.TempDir()
	for i, scheme := range scaffold.Schemes() {
		n := scaffold.New{Dir: dir, Slug: "acme-" + scheme, Scheme: scheme, Batch: i%2 == 0}
		_, err := scaffold.Declared(n)
		require.NoError(t, err)
		for key, batch := range map[string]bool{"deleteContact": true, "putOrder": false, "send": true} {
			made, declared, err := scaffold.Action(scaffold.New{Dir: dir, Slug: n.Slug, Action: key, Batch: batch})
			require.NoError(t, err)
			assert.True(t, declared)
			assert.Len(t, made, 3, "a case, the definition and the sandbox")
		}
		checkDeclared(t, filepath.Join(dir, n.Slug))
	}

	own := filepath.Join(dir, "own")
	write := func(name, text string) {
		require.NoError(t, os.MkdirAll(own, 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(own, name), []byte(text), 0o644))
	}
	definition := `name: Own
slug: own
mode: cloud
description: Ours.
authentication: {scheme: custom, fields: {token: {label: Token, description: T., type: password, required: true}, size: {label: Size, description: S., type: integer, minimum: 5, required: true}}}
request: {baseUrl: "https://own.example/api/", headers: {X-Token: "{{settings.token}}"}}
actions: # all of them
  send:
    title: Send
    description: Sends.
    fields: {id: {label: ID, description: I., type: string, required: true, default: {"@path": $.userId}}}
    request: {url: /send, body: {"@path": $.payload}}
# the end
`
	action := func() error {
		_, _, err := scaffold.Action(scaffold.New{Dir: dir, Slug: "own", Action: "editUser", Batch: true})
		return err
	}
	write(destination.DefinitionFile, definition)
	assert.ErrorContains(t, action(), "a new action is tried with the simulated API: open "+filepath.Join(own, "sandbox.yaml"))
	write(destination.SandboxFile, "# ours\nauth: {header: X-Token}\nrefused: {status: 422, body: {message: \"{{message}}\"}}\nroutes:\n  - {request: POST /api/send, response: {status: 200}}\n")
	require.NoError(t, action())
	for name, want := range map[string]string{
		destination.DefinitionFile:                           "      errors: {path: errors, index: index, status: status, message: message}\n# the end\n",
		destination.SandboxFile:                              "# ours\nauth: {header: X-Token}\n",
		filepath.Join("testdata", "cases", "edit-user.yaml"): "url: https://own.example/api/edit-user",
	} {
		text, err := os.ReadFile(filepath.Join(own, name))
		require.NoError(t, err)
		assert.Contains(t, string(text), want)
	}
	findings, err := suite.Find(destination.InFolder(own), own, suite.Options{})
	require.NoError(t, err)
	for _, f := range findings {
		assert.NotContains(t, f.String(), "editUser", f.Check)
	}

	require.NoError(t, os.RemoveAll(own))
	write(destination.DefinitionFile, strings.Replace(definition, "https://own.example/api/", "https://{{settings.size}}.example", 1))
	write(destination.SandboxFile, "routes: []\n")
	assert.ErrorContains(t, action(), "have no fixed request.baseUrl: add the action to its actions in "+filepath.Join(own, destination.DefinitionFile))
}
