package scaffold

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/language/fieldschema"
	"github.com/landfall-dev/landfall/framework/language/yamldoc"
	"github.com/landfall-dev/landfall/internal/author/generate"
	"github.com/landfall-dev/landfall/internal/author/segment"
	"github.com/landfall-dev/landfall/internal/textfile"
)

// From writes the plugin of a definition that exists: a handler for each action without a request, a sandbox, cases and a test. The
// definition is copied as it is; slug replaces its slug unless it is empty. The definition may already be in the
// plugin's directory, if that has no code. From returns the slug, the files that it made, relative to dir, and what is left to do by hand.
func From(dir, file, slug string) (string, []string, []string, error) {
	text, d, notes, err := readDefinition(file, slug, false)
	if err != nil {
		return "", nil, nil, err
	}
	m, err := findLocation(dir)
	if err != nil {
		return "", nil, nil, err
	}
	n := New{Dir: dir, Slug: d.Slug, Name: d.Name, Scheme: Schemes()[0]}
	err = errors.Join(n.checkSlug(), n.checkFree(file), n.checkNames(d))
	if err != nil {
		return "", nil, nil, err
	}
	v := pluginView{view: n.view(m), definition: d, notes: notes}
	v.fillActions()
	made, err := v.writeAll(text)
	return d.Slug, made, v.notes, err
}

// readDefinition reads a definition, or Segment's metadata as JSON, and gives it another slug unless that is empty. declared says that
// it will have requests instead of code. The notes say what was not imported.
func readDefinition(file, slug string, declared bool) (text []byte, d *destination.Definition, notes []string, err error) {
	text, err = textfile.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, nil, fmt.Errorf("%s: %s: give --from a destination.yaml, or Segment's metadata of a destination as JSON", file, fault.FileReason(err))
	} else if err != nil {
		return nil, nil, nil, fault.File(err)
	}
	if err := segment.RefuseCode(file); err != nil {
		return nil, nil, nil, err
	}
	if isJSON(text) {
		if text, notes, err = readMetadata(file, text, declared); err != nil {
			return nil, nil, nil, err
		}
		file += ".yaml" // the text is no longer JSON
	}
	d, err = destination.ParseDefinition(file, text)
	if err != nil || slug == "" || slug == d.Slug {
		return text, d, notes, err
	}
	renamed := destination.Overlay(d.Document.Value().Without("aliases"), object("slug", slug))
	if len(d.Aliases) > 0 {
		notes = append(notes, fmt.Sprintf("the aliases of %s are left out, since the slug is another one: %s", d.Slug, strings.Join(d.Aliases, ", ")))
	}
	if text, err = yamldoc.Edit(file, text, renamed); err != nil {
		return nil, nil, nil, err
	}
	d, err = destination.ParseDefinition(file, text)
	return text, d, notes, err
}

// checkFree returns an error if the directory has other files than the definition and the files generated from it.
func (n New) checkFree(file string) error {
	dir := filepath.Join(n.Dir, n.Slug)
	if _, err := os.Stat(dir); err != nil {
		return nil
	}
	if hasCode, err := generate.HasPlugin(dir); err != nil || hasCode {
		return errors.Join(err, fmt.Errorf("%s already has a plugin: add to it with %[2]s new action %[3]s KEY, or give another slug: %[2]s new destination SLUG --from %[4]s", dir, n.programName(), n.Slug, file))
	}
	given, err := os.Stat(file)
	if err != nil {
		return err
	}
	if there, err := os.Stat(filepath.Join(dir, destination.DefinitionFile)); err == nil && !os.SameFile(given, there) {
		return fmt.Errorf("%s holds another definition: give another slug: %s new destination SLUG --from %s", dir, n.programName(), file)
	}
	return nil
}

// checkNames returns an error if another destination of the directory has the same slug or alias.
func (n New) checkNames(d *destination.Definition) error {
	folders, err := n.folders()
	if err != nil {
		return err
	}
	for _, folder := range folders {
		if folder == n.Slug {
			continue
		}
		file := filepath.Join(n.Dir, folder, destination.DefinitionFile)
		text, err := textfile.ReadFile(file)
		if err != nil {
			return err
		}
		other, err := destination.ParseDefinition(file, text)
		if err != nil {
			return err
		}
		for _, name := range d.Names() {
			if slices.Contains(other.Names(), name) {
				return fmt.Errorf("%q is already used by %s (%s); change the slug or the aliases", name, other.Name, file)
			}
		}
	}
	return nil
}

// pluginView is the data of the templates of a plugin.
type pluginView struct {
	view
	definition *destination.Definition

	Actions   []actionView // those that handlers perform
	Hooks     []actionView // those with hooks
	Secret    string       // the setting that requests are signed with; "" if the client knows how, or there is none
	SecretGo  string       // its name in Go
	Tested    bool         // a handler tests the settings
	Audiences bool         // audiences are created at the remote

	notes []string
}

// actionView is an action of a definition.
type actionView struct {
	destination.ActionDefinition
	Handler, Payload, Path string
	Method                 string // as net/http names it, such as Post
	Batch                  bool
}

func (v *pluginView) fillActions() {
	d := v.definition
	taken := slices.Clone(used)
	for _, a := range d.Actions {
		av := actionView{ActionDefinition: a, Handler: handlerName(a.Key, taken), Payload: generate.TypeName(a.Key) + "Payload", Method: methodOf(a.Key)}
		av.Path = strings.ToLower(strings.ReplaceAll(strings.TrimSpace(titleWords(av.Handler)), " ", "-"))
		av.Batch = a.Fields.Get(destination.BatchSize) != nil || a.Fields.Get(destination.EnableBatching) != nil
		if !a.IsDeclared() {
			taken = append(taken, av.Handler)
			v.Actions = append(v.Actions, av)
		}
		if len(a.Hooks) > 0 {
			v.Hooks = append(v.Hooks, av)
		}
	}
	v.Tested = d.TestHandler || d.Test == nil && len(v.Actions) > 0
	v.Audiences = d.Audience != nil && d.Audience.Mode == "synced"
	if secrets := d.Secrets(); d.Scheme == "custom" && len(secrets) > 0 {
		v.Secret, v.SecretGo = secrets[0], generate.FieldName(d.Settings, secrets[0])
	}
}

// Sends reports whether code sends requests.
func (v *pluginView) Sends() bool {
	return len(v.Actions) > 0 || v.Tested || v.Audiences || len(v.Hooks) > 0
}

// writeActionFrom writes the handler and the case of the action of a plugin that From made. text is the definition with the action.
func (v view) writeActionFrom(text []byte) ([]string, error) {
	d, err := destination.ParseDefinition(destination.DefinitionFile, text)
	if err != nil {
		return nil, err
	}
	p := pluginView{view: v, definition: d}
	p.fillActions()
	p.Actions = slices.DeleteFunc(p.Actions, func(a actionView) bool { return a.Key != v.Action })
	p.Actions[0].Handler = v.Action
	files := map[string][]byte{}
	if err := p.addHandlers(files); err != nil {
		return nil, err
	}
	p.addCases(files)
	return p.writeFiles(files)
}

// handlerName returns the Go name of an action's handler.
func handlerName(key string, taken []string) string {
	name := generate.TypeName(key)
	upper := 0
	for upper < len(name) && name[upper] >= 'A' && name[upper] <= 'Z' {
		upper++
	}
	if upper > 1 && upper < len(name) {
		upper-- // the last capital begins the next word
	}
	name = strings.ToLower(name[:upper]) + name[upper:]
	if isPredeclared(name) || slices.Contains(taken, name) {
		name += "Action"
	}
	return name
}

func (v *pluginView) addFile(files map[string][]byte, path, template string, data any) error {
	out, err := executeTemplate(template, data)
	if err == nil && strings.HasSuffix(path, ".go") {
		out, err = formatGo(path, out)
	}
	files[path] = out
	return err
}

// addHandlers adds the file of each action's handler.
func (v *pluginView) addHandlers(files map[string][]byte) (err error) {
	for _, a := range v.Actions {
		data := struct {
			*pluginView
			Action actionView
		}{v, a}
		err = errors.Join(err, v.addFile(files, strings.ToLower(a.Handler)+".go", "from-action.go.tmpl", data))
	}
	return err
}

// writeAll writes the files of the plugin.
func (v *pluginView) writeAll(text []byte) ([]string, error) {
	files := map[string][]byte{destination.DefinitionFile: text}
	err := errors.Join(v.addFile(files, "plugin.go", "from-plugin.go.tmpl", v), v.addFile(files, "sandbox.go", "from-sandbox.go.tmpl", v),
		v.addFile(files, "plugin_test.go", "from-plugin_test.go.tmpl", v), v.addHandlers(files))
	v.addExamples(files)
	if err != nil {
		return nil, err
	}
	return v.writeFiles(files)
}

func (v *pluginView) writeFiles(files map[string][]byte) (made []string, err error) {
	for path, text := range files {
		whole := filepath.Join(v.Dir, v.Slug, path)
		if err := os.MkdirAll(filepath.Dir(whole), 0o755); err != nil {
			return nil, err
		}
		if old, err := os.ReadFile(whole); err == nil && string(old) == string(text) {
			continue
		}
		if err := os.WriteFile(whole, text, 0o644); err != nil {
			return nil, err
		}
		made = append(made, filepath.Join(v.Slug, path))
	}
	slices.Sort(made)
	return made, nil
}

// addExamples adds a case for each action, and an instance and events to try the destination with.
func (v *pluginView) addExamples(files map[string][]byte) {
	settings, subscriptions := v.addCases(files)
	if len(subscriptions) > 0 {
		files[filepath.Join("testdata", "landfall.yaml")] = yamldoc.Write(v.configOf(settings, subscriptions))
		files[filepath.Join("testdata", "events.ndjson")] = []byte(sampleEvents)
	}
}

// addCases adds a case for each action. It returns the settings of the cases, and a subscription for each action with a default.
func (v *pluginView) addCases(files map[string][]byte) (settings event.Value, subscriptions []event.Value) {
	settings, err := sampleOf(v.definition.Settings, nil)
	if err != nil {
		v.addNote("testdata/cases: write the cases by hand, since no settings could be made up: %v", err)
		return settings, nil
	}
	for _, a := range v.Actions {
		mapping, err := sampleOf(a.Fields, nil)
		if err != nil {
			v.addNote("testdata/cases: write a case of %s by hand, since no payload could be made up: %v", a.Key, err)
			continue
		}
		path := filepath.Join("testdata", "cases", a.Path+".yaml")
		files[path] = yamldoc.Write(v.caseOf(a, settings, mapping))
		if a.DefaultSubscription == "" {
			continue
		}
		required, err := sampleOf(a.Fields, func(f fieldschema.Field) bool { return f.Default.Exists() })
		if err == nil {
			subscriptions = append(subscriptions, v.subscriptionOf(a, required))
		}
	}
	return settings, subscriptions
}

func (v *pluginView) addNote(format string, args ...any) {
	v.notes = append(v.notes, fmt.Sprintf(format, args...))
}
