package scaffold_test

import (
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/internal/author/generate"
	"github.com/landfall-dev/landfall/internal/author/scaffold"
)

// writeFiles writes files below a directory.
func writeFiles(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		path := filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
	}
}

// checkMade checks that the files that are said to be made exist, that their Go code can be parsed, and that the definition can be used.
func checkMade(t *testing.T, dir string, made []string) *destination.Definition {
	t.Helper()
	var d *destination.Definition
	for _, name := range made {
		path := filepath.Join(dir, name)
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		if strings.HasSuffix(name, ".go") {
			_, err = parser.ParseFile(token.NewFileSet(), path, text, parser.AllErrors)
			assert.NoError(t, err)
		}
		if filepath.Base(name) == destination.DefinitionFile {
			d, err = destination.ParseDefinition(path, text)
			require.NoError(t, err)
		}
	}
	return d
}

// TestFilesOfNewDestinations checks which files each kind of destination has, and what its definition says.
func TestFilesOfNewDestinations(t *testing.T) {
	_, dir := place(t)
	code := []string{"destination.yaml", "plugin.go", "plugin_test.go", "sandbox.go", "testdata/events.ndjson", "testdata/landfall.yaml"}
	for _, c := range []struct {
		n      scaffold.New
		more   []string
		name   string
		scheme string
	}{
		{scaffold.New{Slug: "acme-crm"}, []string{"createcontact.go", "testdata/cases/create-contact.yaml"}, "Acme Crm", "custom"},
		{scaffold.New{Slug: "two", Name: "The Second", Scheme: "basic", Action: "sendNote"}, []string{"sendnote.go", "testdata/cases/send-note.yaml"}, "The Second", "basic"},
		{scaffold.New{Slug: "three", Audience: true}, []string{"syncaudience.go", "testdata/cases/sync-audience.yaml", "testdata/cases/sync-audience-refused.yaml"}, "Three", "custom"},
		{scaffold.New{Slug: "four", Audience: true, Action: "addMembers"}, []string{"addmembers.go", "testdata/cases/add-members.yaml", "testdata/cases/add-members-refused.yaml"}, "Four", "custom"},
	} {
		c.n.Dir = dir
		made, err := scaffold.Destination(c.n)
		require.NoError(t, err, c.n.Slug)
		var want []string
		for _, name := range append(c.more, code...) {
			want = append(want, filepath.Join(c.n.Slug, name))
		}
		assert.ElementsMatch(t, want, made)
		assert.IsIncreasing(t, made)
		d := checkMade(t, dir, made)
		assert.Equal(t, []string{c.name, c.scheme}, []string{d.Name, string(d.Scheme)})
		require.Len(t, d.Actions, 1)
		events, err := os.ReadFile(filepath.Join(dir, c.n.Slug, "testdata", "events.ndjson"))
		require.NoError(t, err)
		assert.Equal(t, c.n.Audience, strings.Contains(string(events), "Audience Entered"))
	}
	require.NoError(t, os.Mkdir(filepath.Join(dir, "empty"), 0o755))
	_, err := scaffold.Destination(scaffold.New{Dir: dir, Slug: "empty"})
	assert.ErrorContains(t, err, "already exists: choose another name")
}

// TestFilesOfDefinitions checks that a plugin which is made of a definition has a handler and a case for each action, and what to try it with.
func TestFilesOfDefinitions(t *testing.T) {
	_, dir := place(t)
	file := filepath.Join(t.TempDir(), "d.yaml")
	require.NoError(t, os.WriteFile(file, []byte(definitions["full"]), 0o644))
	slug, made, notes, err := scaffold.From(dir, file, "")
	require.NoError(t, err)
	assert.Empty(t, notes)
	d := checkMade(t, dir, made)
	for _, name := range []string{"plugin.go", "plugin_test.go", "sandbox.go", "testdata/landfall.yaml", "testdata/events.ndjson"} {
		assert.Contains(t, made, filepath.Join(slug, name))
	}
	handlers, cases := 0, 0
	for _, name := range made {
		if strings.HasPrefix(name, filepath.Join(slug, "testdata", "cases")) {
			cases++
		}
	}
	for _, a := range d.Actions {
		if !a.IsDeclared() {
			handlers++
		}
	}
	assert.Positive(t, handlers)
	assert.Equal(t, handlers, cases)
	for _, from := range []func(dir, file, slug string) (string, []string, []string, error){scaffold.From, scaffold.DeclaredFrom} {
		_, made, _, err = from(dir, t.TempDir(), "other")
		assert.ErrorContains(t, err, "is a directory")
		assert.Empty(t, made)
	}
}

// TestExamplesOfDefinitions checks that the event of a case is one that a preset of its action selects, or its default query, and what the
// subscriptions to try have.
func TestExamplesOfDefinitions(t *testing.T) {
	_, dir := place(t)
	file := filepath.Join(t.TempDir(), "d.yaml")
	require.NoError(t, os.WriteFile(file, []byte(`name: Own
slug: own
mode: cloud
authentication: {scheme: none}
actions:
  first: {title: First, defaultSubscription: type = "identify", fields: {}}
  second: {title: Second, defaultSubscription: type = "group", fields: {id: {label: ID, type: string, required: true}}}
  third: {title: Third, fields: {}}
  Third: {title: Another Third, fields: {}}
presets:
  - {name: Pages, type: automatic, action: first, subscribe: type = "page"}
`), 0o644))
	_, _, notes, err := scaffold.From(dir, file, "")
	require.NoError(t, err)
	assert.Empty(t, notes)
	for name, want := range map[string]string{"first": "page", "second": "group", "third": "track", "third-action": "track"} {
		text, err := os.ReadFile(filepath.Join(dir, "own", "testdata", "cases", name+".yaml"))
		require.NoError(t, err)
		assert.Contains(t, string(text), "type: "+want, name)
	}
	text, err := os.ReadFile(filepath.Join(dir, "own", "testdata", "landfall.yaml"))
	require.NoError(t, err)
	assert.Contains(t, string(text), "action: second")
	assert.Equal(t, 1, strings.Count(string(text), "mapping:"), "only where a required field has no default: %s", text)
	assert.NotContains(t, string(text), "third", "it has no default subscription")
}

// TestFilesThatCannotBeWritten checks that a file that cannot be written is an error, for each way to write some.
func TestFilesThatCannotBeWritten(t *testing.T) {
	_, dir := place(t)
	file := filepath.Join(t.TempDir(), "d.yaml")
	require.NoError(t, os.WriteFile(file, []byte(definitions["login"]), 0o644))
	_, err := scaffold.Destination(scaffold.New{Dir: dir, Slug: "acme"})
	require.NoError(t, err)
	nowhere := func(name string) { // a link to a file in a directory that does not exist
		require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755))
		require.NoError(t, os.Symlink(filepath.Join(dir, "none", "none"), filepath.Join(dir, name)))
	}
	nowhere("acme/sendnote.go")
	_, _, err = scaffold.Action(scaffold.New{Dir: dir, Slug: "acme", Action: "sendNote"})
	assert.ErrorIs(t, err, os.ErrNotExist)
	nowhere("login/sandbox.go")
	_, _, _, err = scaffold.From(dir, file, "")
	assert.Error(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "acme", "testdata", "cases", "sub"), nil, 0o644))
	require.NoError(t, os.RemoveAll(filepath.Join(dir, "acme", "testdata")))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "acme", "testdata"), nil, 0o644))
	_, _, err = scaffold.Action(scaffold.New{Dir: dir, Slug: "acme", Action: "sendOther"})
	assert.Error(t, err, "a file is where the directory of the cases should be")
	used := filepath.Join(t.TempDir(), "used")
	require.NoError(t, os.WriteFile(used, nil, 0o644))
	for _, to := range []string{used, filepath.Join(used, "below")} {
		_, made, err := scaffold.NewModule(scaffold.Module{Dir: to, Path: "example.com/acme/landfall", Version: "v0.1.0"})
		assert.Error(t, err)
		assert.Empty(t, made)
	}
}

// TestActionsThatCannotBeAdded checks definitions and plugins that an action has to be added to by hand, which are not changed.
func TestActionsThatCannotBeAdded(t *testing.T) {
	const declared = "name: Own\nslug: own\nmode: cloud\nauthentication: {scheme: none}\nrequest: {baseUrl: \"https://own.example\"}\n"
	const braces = declared + "actions: {send: {title: Send, fields: {}, request: {url: /send}}}\n"
	const lines = "name: Own\nslug: own\nmode: cloud\nauthentication: {scheme: none}\nactions:\n  send: {title: Send, fields: {}}\n"
	for name, c := range map[string]struct {
		files map[string]string
		want  string
	}{
		"braces, declared":    {map[string]string{"destination.yaml": braces, "sandbox.yaml": "routes: []\n"}, "the actions are in braces"},
		"no list of handlers": {map[string]string{"destination.yaml": lines, "plugin.go": "package own\n"}, "has no list Actions: add \"more\": destination.Handle("},
		"broken code":         {map[string]string{"destination.yaml": lines, "plugin.go": "package"}, "plugin.go"},
		"broken definition":   {map[string]string{"destination.yaml": "name: [", "plugin.go": "package own\n"}, "destination.yaml"},
		"a broken sandbox":    {map[string]string{"destination.yaml": strings.Replace(braces, "{send: {title: Send, fields: {}, request: {url: /send}}}", "\n  send: {title: Send, fields: {}, request: {url: /send}}", 1), "sandbox.yaml": "routes: ["}, "sandbox.yaml"},
	} {
		t.Run(name, func(t *testing.T) {
			_, dir := place(t)
			writeFiles(t, filepath.Join(dir, "own"), c.files)
			_, _, err := scaffold.Action(scaffold.New{Dir: dir, Slug: "own", Action: "more"})
			require.ErrorContains(t, err, c.want)
			entries, err := os.ReadDir(filepath.Join(dir, "own"))
			require.NoError(t, err)
			assert.Len(t, entries, len(c.files))
			for name, text := range c.files {
				now, err := os.ReadFile(filepath.Join(dir, "own", name))
				require.NoError(t, err)
				assert.Equal(t, text, string(now))
			}
		})
	}
	_, dir := place(t)
	_, err := scaffold.Destination(scaffold.New{Dir: dir, Slug: "acme"})
	require.NoError(t, err)
	writeFiles(t, filepath.Join(dir, "acme"), map[string]string{"more.go": "package acme\n\nvar one, two = 1, 2\n\ntype three int\n\nfunc four() {}\n\nfunc (three) five() {}\n\nconst six = 6\n"})
	for name, taken := range map[string]bool{"one": true, "two": true, "three": true, "four": true, "five": false, "six": true} {
		_, _, err := scaffold.Action(scaffold.New{Dir: dir, Slug: "acme", Action: name})
		assert.Equal(t, taken, err != nil, "%s: %v", name, err)
	}
	for list, want := range map[string]string{"{}": "\t\"more\":", "{\n\t\t\"send\": h}": "\"send\": h,", "{\n\t\t\"send\": h,\n\t}": "\"send\": h,"} {
		require.NoError(t, os.RemoveAll(filepath.Join(dir, "own")))
		writeFiles(t, filepath.Join(dir, "own"), map[string]string{"destination.yaml": strings.TrimSuffix(lines, "\n"), "plugin.go": "package own\n\nvar p = P{Actions: m" + list + "}\n"})
		_, _, err := scaffold.Action(scaffold.New{Dir: dir, Slug: "own", Action: "more"})
		require.NoError(t, err, list)
		text, err := os.ReadFile(filepath.Join(dir, "own", "plugin.go"))
		require.NoError(t, err)
		assert.Contains(t, string(text), want)
		_, err = parser.ParseFile(token.NewFileSet(), "", text, parser.AllErrors)
		assert.NoError(t, err, string(text))
	}
}

// TestRoutesThatExist checks that a simulated API which has the route of a new action already stays as it is.
func TestRoutesThatExist(t *testing.T) {
	dir := t.TempDir()
	_, err := scaffold.Declared(scaffold.New{Dir: dir, Slug: "acme"})
	require.NoError(t, err)
	file := filepath.Join(dir, "acme", destination.SandboxFile)
	rules, err := os.ReadFile(file)
	require.NoError(t, err)
	for name, grows := range map[string]int{"sendNote": 1, "sendAgain": 0} {
		given := string(rules)
		if grows == 0 {
			given = strings.Replace(given, "routes:\n", "routes:\n  - {request: POST /v1/send-again, response: {status: 204}}\n", 1)
			require.NotEqual(t, string(rules), given)
		}
		require.NoError(t, os.WriteFile(file, []byte(given), 0o644))
		_, _, err = scaffold.Action(scaffold.New{Dir: dir, Slug: "acme", Action: name})
		require.NoError(t, err)
		now, err := os.ReadFile(file)
		require.NoError(t, err)
		assert.Equal(t, strings.Count(given, "request:")+grows, strings.Count(string(now), "request:"), name)
		assert.Equal(t, grows == 0, given == string(now))
	}
}

// TestProgramsOfModules checks which command is named in messages: that of the program that has the destinations, from the working directory.
func TestProgramsOfModules(t *testing.T) {
	const own = "package main\n\nimport _ \"" + generate.Framework + "/framework/cli\"\n"
	for name, c := range map[string]struct {
		files map[string]string
		want  string
	}{
		"none":             {nil, "landfall"},
		"at the root":      {map[string]string{"main.go": own}, "go run ."},
		"below cmd":        {map[string]string{"cmd/other/main.go": "package main\n", "cmd/tool/main.go": own}, "go run ./cmd/tool"},
		"a library":        {map[string]string{"main.go": strings.Replace(own, "package main", "package other", 1)}, "landfall"},
		"other imports":    {map[string]string{"main.go": "package main\n\nimport _ \"fmt\"\n"}, "landfall"},
		"broken and whole": {map[string]string{"a.go": "package", "main.go": own}, "go run ."},
		"elsewhere":        {map[string]string{"tools/main.go": own}, "landfall"},
	} {
		for _, parent := range []string{"plain", "a [b]"} {
			root := filepath.Join(t.TempDir(), parent)
			writeFiles(t, root, map[string]string{"go.mod": "module example.com/m\n", "destinations/x": ""})
			writeFiles(t, root, c.files)
			p, err := scaffold.FindProgram(filepath.Join(root, "destinations"))
			require.NoError(t, err, name)
			assert.Equal(t, scaffold.Program{Base: root, Command: c.want, Dir: "destinations", Own: c.want != "landfall"}, p, name)
			assert.Equal(t, "./destinations/acme", p.Package("acme"))
			t.Chdir(root)
			p, err = scaffold.FindProgram("destinations")
			require.NoError(t, err)
			assert.Equal(t, scaffold.Program{Command: c.want, Dir: "destinations", Own: c.want != "landfall"}, p, name)
			require.NoError(t, os.MkdirAll("sub", 0o755))
			t.Chdir("sub")
			p, err = scaffold.FindProgram("../destinations")
			require.NoError(t, err)
			assert.Equal(t, "../destinations/acme", p.Package("acme"))
			assert.Equal(t, strings.NewReplacer("go run ./", "go run ../", "go run .", "go run ..").Replace(c.want), p.Command, name)
		}
	}
	_, err := scaffold.FindProgram(t.TempDir())
	assert.Error(t, err, "no module")
}

// TestNamesInDirectoriesWithBrackets checks that a package name that is taken is found whatever the directory is called.
func TestNamesInDirectoriesWithBrackets(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "my [own]")
	_, err := scaffold.Declared(scaffold.New{Dir: dir, Slug: "acme-crm"})
	require.NoError(t, err)
	_, err = scaffold.Declared(scaffold.New{Dir: dir, Slug: "acmecrm"})
	assert.ErrorContains(t, err, "would be called acmecrm, like that of acme-crm")
}

// TestModulesBesideTheCheckout checks how go.mod names a checkout that is given relative to the working directory.
func TestModulesBesideTheCheckout(t *testing.T) {
	root := t.TempDir()
	writeFiles(t, root, map[string]string{
		"landfall/go.mod": "module " + generate.Framework + "\n\ngo 1.26.0\n\nrequire example.com/used v1.2.3\n", "landfall/go.sum": "sum\n", "other/go.mod": "module example.com/other\n",
		"broken/go.mod": "module " + generate.Framework + "\nrequire\n", "no-sum/go.mod": "module " + generate.Framework + "\n",
	})
	t.Chdir(root)
	_, made, err := scaffold.NewModule(scaffold.Module{Dir: "work/acme", Path: "example.com/acme/tool/v2", Replace: "landfall"})
	require.NoError(t, err)
	assert.Contains(t, made, "go.sum")
	assert.IsIncreasing(t, made)
	mod, err := os.ReadFile("work/acme/go.mod")
	require.NoError(t, err)
	assert.Contains(t, string(mod), "module example.com/acme/tool/v2\n")
	assert.Contains(t, string(mod), "replace "+generate.Framework+" => ../../landfall")
	assert.Contains(t, string(mod), "example.com/used v1.2.3 // indirect")
	info, err := os.Stat("work/acme/.ci/run")
	require.NoError(t, err)
	assert.EqualValues(t, 0o111, info.Mode().Perm()&0o111, "it can be run")
	assert.FileExists(t, "work/acme/destinations/tool/plugin.go", "the destination has the name of the module")
	for _, name := range made {
		assert.FileExists(t, filepath.Join("work/acme", name))
	}
	for replace, want := range map[string]string{"other": "that of the module example.com/other", "broken": "go.mod", "no-sum": "go.sum", "none": "is not a checkout of Landfall"} {
		_, made, err := scaffold.NewModule(scaffold.Module{Dir: "new-" + replace, Path: "example.com/acme/tool", Replace: replace})
		assert.ErrorContains(t, err, want, replace)
		assert.Empty(t, made)
	}
	for path, slug := range map[string]string{"example.com/acme/landfall": "acme", "example.com/Acme_CRM/landfall/v3": "acme-crm", "example.com/landfall": "acme", "example.com/taken/landfall": "acme", "example.com/9/landfall": "acme"} {
		m, _, err := scaffold.NewModule(scaffold.Module{Dir: filepath.Join(t.TempDir(), "x"), Path: path, Version: "v0.1.0", Taken: func(slug string) bool { return slug == "taken" }})
		if assert.NoError(t, err, path) {
			assert.Equal(t, slug, m.Destination.Slug, path)
		}
	}
	writeFiles(t, "git/.git", map[string]string{"HEAD": ""})
	_, _, err = scaffold.NewModule(scaffold.Module{Dir: "git", Path: "example.com/acme/landfall", Version: "v0.1.0"})
	assert.NoError(t, err, "a new repository")
}
