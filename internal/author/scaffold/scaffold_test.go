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

// place creates a separate module beside the framework, with an empty list of destinations.
func place(t *testing.T) (root, dir string) {
	t.Helper()
	root = t.TempDir()
	repo, err := filepath.Abs("../../..")
	require.NoError(t, err)
	mod, err := os.ReadFile(filepath.Join(repo, "go.mod"))
	require.NoError(t, err)
	_, rest, _ := strings.Cut(string(mod), "\n")
	text := "module example.com/crm\n" + rest + "\nrequire github.com/landfall-dev/landfall v0.0.0\nreplace github.com/landfall-dev/landfall => " + repo + "\n"
	require.NoError(t, os.WriteFile(filepath.Join(root, "go.mod"), []byte(text), 0o644))
	sum, err := os.ReadFile(filepath.Join(repo, "go.sum"))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(root, "go.sum"), sum, 0o644))
	dir = filepath.Join(root, "destinations")
	require.NoError(t, os.Mkdir(dir, 0o755))
	_, err = generate.All(dir, "destinations", "example.com/crm/destinations")
	require.NoError(t, err)
	return root, dir
}

// TestNewDestinationPassesEveryCheck creates a destination of each scheme, with actions of both kinds, in a separate module, and
// runs the generated tests.
func TestNewDestinationPassesEveryCheck(t *testing.T) {
	if testing.Short() {
		t.Skip("builds a module")
	}
	root, dir := place(t)
	for i, scheme := range scaffold.Schemes() {
		n := scaffold.New{Dir: dir, Slug: "new-" + scheme, Scheme: scheme, Batch: i%2 == 0}
		_, err := scaffold.Destination(n)
		require.NoError(t, err)
		for action, method := range map[string]string{"trackEvent": "Post", "deleteContact": "Delete", "updateContact": "Patch"} {
			n.Action, n.Batch = action, !n.Batch
			_, _, err = scaffold.Action(n)
			require.NoError(t, err)
			code, err := os.ReadFile(filepath.Join(dir, n.Slug, strings.ToLower(action)+".go"))
			require.NoError(t, err)
			assert.Contains(t, string(code), "http.Method"+method+",", action)
		}
	}
	for _, scheme := range scaffold.Schemes() {
		n := scaffold.New{Dir: dir, Slug: "audience-" + scheme, Scheme: scheme, Audience: true}
		_, err := scaffold.Destination(n)
		require.NoError(t, err)
		n.Action, n.Audience, n.Batch = "trackEvent", false, true
		_, _, err = scaffold.Action(n)
		require.NoError(t, err)
	}
	_, err := generate.All(dir, "destinations", "example.com/crm/destinations")
	require.NoError(t, err)
	run := exec.Command("go", "test", "-mod=mod", "./...")
	run.Dir = root
	out, err := run.CombinedOutput()
	require.NoError(t, err, string(out))
	for _, scheme := range scaffold.Schemes() {
		assert.Contains(t, string(out), "ok  	example.com/crm/destinations/new-"+scheme)
		assert.Contains(t, string(out), "ok  	example.com/crm/destinations/audience-"+scheme)
	}
	formatted, err := exec.Command("gofmt", "-l", root).CombinedOutput()
	require.NoError(t, err)
	assert.Empty(t, string(formatted))
}

// TestGoGenerateWorksInAnotherModule changes a definition and runs go generate, while a handler does not compile.
func TestGoGenerateWorksInAnotherModule(t *testing.T) {
	if testing.Short() {
		t.Skip("builds a module")
	}
	root, dir := place(t)
	_, err := scaffold.Destination(scaffold.New{Dir: dir, Slug: "acme", Batch: true})
	require.NoError(t, err)
	file := filepath.Join(dir, "acme", destination.DefinitionFile)
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	grown := strings.Replace(string(text), "      traits:\n", "      planId: {label: Plan, description: The plan., type: string, allowNull: true}\n      traits:\n", 1)
	require.NotEqual(t, string(text), grown)
	require.NoError(t, os.WriteFile(file, []byte(grown), 0o644))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "acme", "broken.go"), []byte("package acme\n\nvar x = doesNotExist\n"), 0o644))
	run := exec.Command("go", "generate", "./...")
	run.Dir = root
	run.Env = append(os.Environ(), "GOFLAGS="+os.Getenv("GOFLAGS")+" -mod=mod")
	out, err := run.CombinedOutput()
	require.NoError(t, err, string(out))
	types, err := os.ReadFile(filepath.Join(dir, "acme", "types_gen.go"))
	require.NoError(t, err)
	assert.Regexp(t, `PlanID +event\.Nullable\[string\]`, string(types))
	registry, err := os.ReadFile(filepath.Join(dir, "registry_gen.go"))
	require.NoError(t, err)
	assert.Contains(t, string(registry), "package destinations\n")
	assert.Contains(t, string(registry), `"example.com/crm/destinations/acme"`)
}

// TestNewActionKeepsExistingContent adds an action to a definition in an unusual layout.
func TestNewActionKeepsExistingContent(t *testing.T) {
	_, dir := place(t)
	_, err := scaffold.Destination(scaffold.New{Dir: dir, Slug: "acme", Batch: true})
	require.NoError(t, err)
	file := filepath.Join(dir, "acme", destination.DefinitionFile)
	const before = `# The CRM of Acme.
actions:
    # the first one
    sendNote: {title: Send Note, fields: {text: {label: Text, type: string}}} # short

# who we are
name: Acme
slug: acme
mode: cloud
authentication: {scheme: none}
`
	require.NoError(t, os.WriteFile(file, []byte(before), 0o644))
	made, _, err := scaffold.Action(scaffold.New{Dir: dir, Slug: "acme", Action: "dropNote", Batch: true})
	require.NoError(t, err)
	assert.Equal(t, []string{"acme/dropnote.go", "acme/testdata/cases/drop-note.yaml", "acme/destination.yaml", "acme/plugin.go"}, made)
	after, err := os.ReadFile(file)
	require.NoError(t, err)
	head, tail, _ := strings.Cut(before, "\n# who we are")
	assert.True(t, strings.HasPrefix(string(after), head+"    dropNote:\n        title: Drop Note\n") || strings.HasPrefix(string(after), head+"    dropNote:\n      title: Drop Note\n"), string(after))
	assert.True(t, strings.HasSuffix(string(after), "\n# who we are"+tail), string(after))
	d, err := destination.ParseDefinition(file, after)
	require.NoError(t, err)
	assert.Equal(t, []string{"sendNote", "dropNote"}, d.ActionKeys())
	plugin, err := os.ReadFile(filepath.Join(dir, "acme", "plugin.go"))
	require.NoError(t, err)
	assert.Contains(t, string(plugin), "\t\t\t\"dropNote\":      destination.Handle(destination.Handler[Settings, DropNotePayload]{PerformBatch: dropNote}),\n")
}

func TestInvalidInputIsRefusedBeforeAnythingIsWritten(t *testing.T) {
	_, dir := place(t)
	_, err := scaffold.Destination(scaffold.New{Dir: dir, Slug: "acme", Batch: true})
	require.NoError(t, err)
	for want, n := range map[string]scaffold.New{
		`but is "Acme"`:                                    {Slug: "Acme"},
		`but is "../x"`:                                    {Slug: "../x"},
		`but is "9lives"`:                                  {Slug: "9lives"},
		`the slug cannot be "go"`:                          {Slug: "go"},
		`the slug cannot be "destination"`:                 {Slug: "destination"},
		`already exists: choose another name`:              {Slug: "acme"},
		`would be called acme, like that of acme`:          {Slug: "ac-me"},
		`no scheme "oauth" (did you mean "oauth2"?)`:       {Slug: "x", Scheme: "oauth"},
		`but is "create-contact"`:                          {Slug: "x", Action: "create-contact"},
		`the key of an action cannot be "test"`:            {Slug: "x", Action: "test"},
		`the key of an action cannot be "len"`:             {Slug: "x", Action: "len"},
		`one line of at most 64 characters`:                {Slug: "x", Name: "a\nb"},
		`is not a directory of destinations: it has no re`: {Slug: "x", Dir: t.TempDir()},
	} {
		if n.Dir == "" {
			n.Dir = dir
		}
		_, err := scaffold.Destination(n)
		assert.ErrorContains(t, err, want)
		if n.Slug == "x" {
			assert.NoDirExists(t, filepath.Join(n.Dir, "x"))
		}
	}
	for want, n := range map[string]scaffold.New{
		`there is no destination "missing"`:                  {Slug: "missing", Action: "a"},
		`Acme already has an action createContact`:           {Slug: "acme", Action: "createContact"},
		`the key of an action cannot be "createContactBody"`: {Slug: "acme", Action: "createContactBody"},
		`the key of an action cannot be "range"`:             {Slug: "acme", Action: "range"},
	} {
		n.Dir = dir
		_, _, err := scaffold.Action(n)
		assert.ErrorContains(t, err, want)
	}
}

// TestAModuleOnACheckoutBuildsAtOnce checks that go.mod and go.sum of a module that uses a checkout are complete before go mod tidy
// has run.
func TestAModuleOnACheckoutBuildsAtOnce(t *testing.T) {
	checkout, err := filepath.Abs("../../..")
	require.NoError(t, err)
	m, made, err := scaffold.NewModule(scaffold.Module{Path: "example.com/acme/landfall", Dir: filepath.Join(t.TempDir(), "acme"), Replace: checkout})
	require.NoError(t, err)
	assert.Contains(t, made, "go.sum")
	list := exec.Command("go", "list", "-deps", "-test", "./...")
	list.Dir, list.Env = m.Dir, append(os.Environ(), "GOFLAGS="+os.Getenv("GOFLAGS")+" -mod=readonly", "GOPROXY=off", "GOWORK=off")
	out, err := list.CombinedOutput()
	require.NoError(t, err, string(out))
	assert.Contains(t, string(out), "example.com/acme/landfall/destinations/acme")
}
