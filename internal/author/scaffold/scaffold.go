// Package scaffold writes the first version of a destination or of an action: a definition, a handler, a sandbox, cases and a test. It
// also writes the first version of a module with a program and destinations of its own. They compile, pass the checks of every
// destination, and send to the sandbox, so that the author can start from working code.
//
// The package does not import the runtime. It checks its input before it writes the first file. Do not run it on the same directory
// concurrently.
package scaffold

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"go/format"
	"go/token"
	"go/types"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"text/template"
	"unicode"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/internal/author/generate"
	"github.com/landfall-dev/landfall/internal/textfile"
)

//go:embed templates/*.tmpl
var templates embed.FS

// Schemes returns the authentication schemes that a new destination may have.
func Schemes() []string { return []string{"custom", "basic", "oauth2", "none"} }

// New describes a new destination, or a new action of one.
type New struct {
	Dir    string // the directory of destinations
	Slug   string
	Name   string // what people call the destination; by default the slug in words
	Scheme string // one of Schemes; custom by default
	Action string // the key of the action; createContact by default, where the destination is new
	Batch  bool   // the action takes batches

	Declared bool // the destination has no code: its definition has the requests
	Audience bool // the destination keeps audiences: its action is syncAudience by default, and takes batches
}

// view is the data of the templates.
type view struct {
	New
	Package, Import, Framework, Schema string
	Host                               string
	Base                               string // what the addresses of requests begin with
	Settings                           string // of cases, as JSON; "" for those of a new destination
	Title, Payload, Path, TooLong      string
	Method, EventType                  string // the HTTP method as net/http names it, such as Post, and the events that the action takes
	Deletes                            bool
}

// Both returns the methods of the requests that add and remove members, for a destination without code.
func (v view) Both() []string { return []string{"POST", "DELETE"} }

// methodOf returns the HTTP method, as net/http names it, of an action whose key begins with a verb.
func methodOf(action string) string {
	verb, _, _ := strings.Cut(strings.ToLower(titleWords(action)), " ")
	switch verb {
	case "delete", "remove", "drop", "erase", "forget":
		return "Delete"
	case "update", "patch", "edit", "change":
		return "Patch"
	case "put", "replace", "set":
		return "Put"
	}
	return "Post"
}

func (n New) view(m location) view {
	v := view{
		New: n, Package: generate.PackageName(n.Slug), Import: m.importPath + "/" + n.Slug, Framework: generate.Framework,
		Host: "api." + n.Slug + ".example", Title: titleWords(n.Action), Payload: generate.TypeName(n.Action) + "Payload",
		Path: strings.ToLower(strings.ReplaceAll(titleWords(n.Action), " ", "-")), TooLong: strings.Repeat("x", 65),
		Schema: "https://landfall.dev/schemas/destination.schema.json",
	}
	v.Base = "https://" + v.Host + "/v1"
	v.Method, v.EventType = methodOf(n.Action), "identify"
	if v.Deletes = v.Method == "Delete"; v.Deletes {
		v.EventType = "delete"
	}
	if m.framework {
		v.Schema = "../../schemas/destination.schema.json"
	}
	return v
}

var (
	slugs   = regexp.MustCompile(`^[a-z][a-z0-9]*(-[a-z0-9]+)*$`)
	actions = regexp.MustCompile(`^[a-z][A-Za-z0-9]*$`)
)

// maxName is the maximum length of names.
const maxName = 64

// Destination writes a new destination. It returns the new files, relative to Dir.
func Destination(n New) ([]string, error) {
	n = n.withDefaults()
	m, err := findLocation(n.Dir)
	if err == nil {
		err = errors.Join(n.checkSlug(), n.checkAction(nil))
	}
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(n.Dir, n.Slug)
	if _, err := os.Stat(dir); err == nil {
		if hasCode, err := generate.HasPlugin(dir); err == nil && !hasCode {
			if definition := filepath.Join(dir, destination.DefinitionFile); isFile(definition) {
				return nil, fmt.Errorf("%s holds a definition without a plugin: make the plugin with %s new destination --from %s", dir, n.programName(), definition)
			}
		}
		return nil, fmt.Errorf("%s already exists: choose another name, or add to it with %s new action %s KEY", dir, n.programName(), n.Slug)
	}
	files := map[string]string{
		destination.DefinitionFile: "destination.yaml", "plugin.go": "plugin.go", "sandbox.go": "sandbox.go",
		n.actionFile(): "action.go", "plugin_test.go": "plugin_test.go", n.caseFile(): "case.yaml",
		filepath.Join("testdata", "landfall.yaml"): "landfall.yaml", filepath.Join("testdata", "events.ndjson"): "events.ndjson",
	}
	if n.Audience {
		files["sandbox.go"], files[n.actionFile()], files[n.caseFile()] = "audience-sandbox.go", "audience.go", "audience-case.yaml"
		files[filepath.Join("testdata", "events.ndjson")] = "audience-events.ndjson"
		files[strings.TrimSuffix(n.caseFile(), ".yaml")+"-refused.yaml"] = "audience-refused.yaml"
	}
	return n.write(n.view(m), files)
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

func (n New) withDefaults() New {
	if n.Name == "" {
		n.Name = titleWords(strings.ReplaceAll(n.Slug, "-", " "))
	}
	if n.Scheme == "" {
		n.Scheme = Schemes()[0]
	}
	switch {
	case n.Action == "" && n.Audience:
		n.Action = "syncAudience"
	case n.Action == "":
		n.Action = "createContact"
	}
	n.Batch = n.Batch || n.Audience
	return n
}

func (n New) actionFile() string { return strings.ToLower(n.Action) + ".go" }

func (n New) caseFile() string {
	return filepath.Join("testdata", "cases", strings.ToLower(strings.ReplaceAll(titleWords(n.Action), " ", "-"))+".yaml")
}

// write writes files of the destination's directory from templates. files has the template of each path.
func (n New) write(v view, files map[string]string) (made []string, err error) {
	for path, name := range files {
		text, err := v.execute(name + ".tmpl")
		if err == nil && strings.HasSuffix(path, ".go") {
			text, err = formatGo(path, text)
		}
		if err != nil {
			return nil, err
		}
		whole := filepath.Join(n.Dir, n.Slug, path)
		if err := os.MkdirAll(filepath.Dir(whole), 0o755); err != nil {
			return nil, err
		}
		if err := os.WriteFile(whole, text, 0o644); err != nil {
			return nil, err
		}
		made = append(made, filepath.Join(n.Slug, path))
	}
	slices.Sort(made)
	return made, nil
}

func formatGo(path string, text []byte) ([]byte, error) {
	formatted, err := format.Source(text)
	if err != nil {
		return nil, fmt.Errorf("writing %s: %w", path, err)
	}
	return formatted, nil
}

func (v view) execute(name string) ([]byte, error) { return executeTemplate(name, v) }

func executeTemplate(name string, data any) ([]byte, error) {
	t, err := template.New("").Funcs(template.FuncMap{"upper": strings.ToUpper, "yaml": quoteText}).ParseFS(templates, "templates/*.tmpl")
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	err = t.ExecuteTemplate(&b, name, data)
	return b.Bytes(), err
}

var plainText = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9 .,;_-]*$`)

// quoteText returns a text as YAML, with quotes if it needs them.
func quoteText(text string) string {
	if plainText.MatchString(text) {
		return text
	}
	return strconv.Quote(text)
}

func (n New) checkSlug() error {
	pkg := generate.PackageName(n.Slug)
	switch {
	case !slugs.MatchString(n.Slug) || len(n.Slug) > maxName:
		return fmt.Errorf("the slug should be like acme or acme-crm, in lower case and with at most %d characters, but is %q", maxName, n.Slug)
	case token.IsKeyword(pkg) || slices.Contains([]string{"destination", "destinations", "internal", "testdata", "main"}, pkg):
		return fmt.Errorf("the slug cannot be %q, which is a reserved name in Go", n.Slug)
	case !slices.Contains(Schemes(), n.Scheme):
		return fmt.Errorf("there is no scheme %q%s; the schemes are %s", n.Scheme, fault.DidYouMean(n.Scheme, Schemes()), strings.Join(Schemes(), ", "))
	case strings.ContainsFunc(n.Name, unicode.IsControl) || len(n.Name) > maxName:
		return fmt.Errorf("the name should be one line of at most %d characters", maxName)
	}
	folders, err := n.folders()
	for _, folder := range folders {
		if folder != n.Slug && generate.PackageName(folder) == pkg {
			return fmt.Errorf("the Go package of %q would be called %s, like that of %s: choose another slug", n.Slug, pkg, folder)
		}
	}
	return err
}

// folders returns the folders in Dir that hold a definition.
func (n New) folders() ([]string, error) {
	files, err := textfile.Glob(n.Dir, "*/"+destination.DefinitionFile)
	for i, file := range files {
		files[i] = filepath.Base(filepath.Dir(file))
	}
	return files, err
}

// checkAction returns an error if the action's key is invalid, or is the name of another declaration in the package.
func (n New) checkAction(taken []string) error {
	switch {
	case !actions.MatchString(n.Action) || len(n.Action) > maxName:
		return fmt.Errorf("the key of an action should be like createContact, with at most %d letters and digits, but is %q", maxName, n.Action)
	case n.Declared: // it has no handler
	case isPredeclared(n.Action) || slices.Contains(taken, n.Action) || slices.Contains(used, n.Action):
		return fmt.Errorf("the key of an action cannot be %q, because the name of its handler is taken: choose another key", n.Action)
	}
	return nil
}

// isPredeclared reports whether Go reserves a name, so that a handler cannot have it: keywords, predeclared identifiers, and init.
func isPredeclared(name string) bool {
	return token.IsKeyword(name) || types.Universe.Lookup(name) != nil || name == "init"
}

// titleWords returns the words of a key such as createContact or "acme crm", each with a capital.
func titleWords(key string) string {
	var b strings.Builder
	start := true
	for _, r := range key {
		switch {
		case r == ' ' || start:
			b.WriteRune(unicode.ToUpper(r))
		case unicode.IsUpper(r):
			b.WriteRune(' ')
			b.WriteRune(r)
		default:
			b.WriteRune(r)
		}
		start = r == ' '
	}
	return b.String()
}
