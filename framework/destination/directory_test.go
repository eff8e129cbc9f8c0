package destination_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/destination"
)

// folderDefinition is a destination without code.
const folderDefinition = `
name: One
slug: one
mode: cloud
authentication: {scheme: none}
actions: {send: {title: Send, fields: {}, request: {url: https://one.example.com/send}}}
`

// definitionsIn writes files below a new directory and returns it.
func definitionsIn(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	return dir
}

func TestFromDirectory(t *testing.T) {
	two := strings.Replace(folderDefinition, "slug: one", "slug: two", 1)
	dir := definitionsIn(t, map[string]string{
		"one/destination.yaml": folderDefinition, "one/sandbox.yaml": "routes: [{request: POST /send}]\n", "two/destination.yaml": two, "notes/README.md": "",
	})
	plugins, err := destination.FromDirectory(dir)
	require.NoError(t, err)
	require.Len(t, plugins, 2)
	for i, slug := range []string{"one", "two"} {
		d, err := plugins[i].Load()
		require.NoError(t, err)
		assert.Equal(t, slug, d.Slug)
		assert.Equal(t, slug, plugins[i].Sandbox.Name)
		assert.Equal(t, filepath.Join(dir, slug, "destination.yaml"), plugins[i].File)
	}
	assert.Equal(t, 200, statusOf(plugins[0].Sandbox.New(nil), "/send", ""))
	assert.Equal(t, 404, statusOf(plugins[0].Sandbox.New(nil), "/other", ""), "its sandbox.yaml does not have this path")
	assert.Equal(t, 200, statusOf(plugins[1].Sandbox.New(nil), "/other", ""), "without sandbox.yaml, every request is accepted")
	assert.NoError(t, plugins[1].Sandbox.Mistakes(nil))

	t.Chdir(filepath.Join(dir, "one"))
	d, err := destination.InFolder(".").Load()
	require.NoError(t, err, "the folder has its name, whatever its path")
	assert.Equal(t, "one", d.Slug)
}

// TestDirectoriesWithCode gives a registry the directories of a repository of destinations in Go, and one without code.
func TestDirectoriesWithCode(t *testing.T) {
	one := strings.Replace(folderDefinition, ", request: {url: https://one.example.com/send}", "", 1)
	two := strings.Replace(folderDefinition, "slug: one", "slug: two", 1)
	program := destination.Plugin{Definition: fstest.MapFS{"destination.yaml": {Data: []byte(folderDefinition)}}}
	further, err := destination.FromDirectory(definitionsIn(t, map[string]string{"one/destination.yaml": one, "one/plugin.go": "package one", "two/destination.yaml": two}))
	require.NoError(t, err)
	for _, own := range []destination.Plugin{program, program.Named("one")} {
		registry, err := destination.NewRegistry([]destination.Plugin{own, further[0], further[1]})
		require.NoError(t, err)
		entry, err := registry.Find("one")
		require.NoError(t, err)
		assert.Empty(t, entry.Plugin.File, "the program's own, not the one in the directory")
		assert.True(t, registry.Has("two"))
	}
	_, err = destination.NewRegistry(further)
	assert.ErrorContains(t, err, "/actions/send has neither a request nor a handler", "the program does not have its code")

	without, err := destination.FromDirectory(definitionsIn(t, map[string]string{"one/destination.yaml": folderDefinition}))
	require.NoError(t, err)
	_, err = destination.NewRegistry([]destination.Plugin{program, without[0]})
	assert.ErrorContains(t, err, `two destinations have the name "one"`)
}

func TestMistakesInDirectories(t *testing.T) {
	renamed := definitionsIn(t, map[string]string{"two/destination.yaml": folderDefinition})
	plugins, err := destination.FromDirectory(renamed)
	require.NoError(t, err)
	_, err = plugins[0].Load()
	assert.ErrorContains(t, err, `two/destination.yaml:3:7: /slug is "one", but the directory is called "two"`)

	empty := definitionsIn(t, map[string]string{"destination.yaml": folderDefinition})
	_, err = destination.FromDirectory(empty)
	assert.EqualError(t, err, "no <slug>/destination.yaml found in the directory "+empty)
	_, err = destination.FromDirectory(filepath.Join(empty, "missing"))
	assert.ErrorIs(t, err, os.ErrNotExist)
}

// TestOptionsOfDeclaredSandboxes checks what makes a sandbox stricter, and that its mistakes are found before it runs and said while it does.
func TestOptionsOfDeclaredSandboxes(t *testing.T) {
	const rules = `
auth: {header: Authorization, scheme: Bearer}
refused: {status: 422, body: {error: "{{message}}"}}
routes: [{request: POST /send, items: list, partial: true, item: {type: string}, response: {status: 200, body: {}, list: failed, entry: "{{index}}"}}]
`
	s := destination.DeclaredSandbox("one", fstest.MapFS{"sandbox.yaml": {Data: []byte(rules)}})
	assert.Equal(t, "one", s.Name)
	require.Len(t, s.Options, 2)
	assert.Equal(t, []string{"credential", destination.RefuseItemOption}, []string{s.Options[0].Name, s.Options[1].Name})
	type options = map[string][]string
	assert.NoError(t, s.Mistakes(options{"credential": {"a", "b"}, destination.RefuseItemOption: {"0", "2"}}))
	for credential, want := range map[string]int{"Bearer a": 200, "Bearer b": 200, "Bearer c": 401, "": 401} {
		assert.Equal(t, want, statusOf(s.New(options{"credential": {"a", "b"}}), "/send", `{"list":["x"]}`, credential), credential)
	}
	assert.Equal(t, 200, statusOf(s.New(nil), "/send", `{"list":["x"]}`, "Bearer any"))
	assert.Equal(t, 422, statusOf(s.New(options{destination.RefuseItemOption: {"0"}}), "/send", `{"list":["x"]}`, "Bearer a"))
	assert.Equal(t, 200, statusOf(s.New(options{destination.RefuseItemOption: {"1"}}), "/send", `{"list":["x"]}`, "Bearer a"))

	for _, wrong := range []string{"-1", "first", ""} {
		assert.EqualError(t, s.Mistakes(options{destination.RefuseItemOption: {"0", wrong}}), `--refuse-item should be the index of an item, from 0, but is "`+wrong+`"`)
	}
	for text, files := range map[string]fstest.MapFS{
		"sandbox.yaml:1":   {"sandbox.yaml": {Data: []byte("ruotes: []\n")}},
		"file does not ex": {},
	} {
		broken := destination.DeclaredSandbox("one", files)
		assert.ErrorContains(t, broken.Mistakes(nil), text)
		response := httptest.NewRecorder()
		broken.New(nil).ServeHTTP(response, httptest.NewRequest(http.MethodPost, "/send", nil))
		assert.Equal(t, 500, response.Code)
		assert.Contains(t, response.Body.String(), "the sandbox has a mistake: ")
		assert.Contains(t, response.Body.String(), text)
	}
	assert.NoError(t, (*destination.Sandbox)(nil).Mistakes(nil))
	assert.NoError(t, (&destination.Sandbox{}).Mistakes(nil))
}

// statusOf posts a JSON body and returns the status.
func statusOf(h http.Handler, path, body string, authorization ...string) int {
	r := httptest.NewRequest(http.MethodPost, path, io.NopCloser(strings.NewReader(body)))
	r.Header.Set("Content-Type", "application/json")
	if len(authorization) > 0 {
		r.Header.Set("Authorization", authorization[0])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Code
}
