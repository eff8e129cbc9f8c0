package scaffold

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/language/yamldoc"
	"github.com/landfall-dev/landfall/internal/author/segment"
)

// Declared writes a new destination without code: a definition with its requests, a sandbox, a case, and events to try it with. Dir need
// not exist or be in a module. It returns the new files, relative to Dir.
func Declared(n New) ([]string, error) {
	n.Declared = true
	n = n.withDefaults()
	if err := errors.Join(n.checkSlug(), n.checkAction(nil)); err != nil {
		return nil, err
	}
	if dir := filepath.Join(n.Dir, n.Slug); exists(dir) {
		return nil, fmt.Errorf("%s already exists: choose another name", dir)
	}
	files := map[string]string{
		destination.DefinitionFile: "destination.yaml", destination.SandboxFile: "declared-sandbox.yaml", "README.md": "declared-README.md",
		n.caseFile(): "declared-case.yaml", filepath.Join("testdata", "landfall.yaml"): "landfall.yaml", filepath.Join("testdata", "events.ndjson"): "events.ndjson",
	}
	if n.Audience {
		files[n.caseFile()] = "declared-audience-case.yaml"
		files[filepath.Join("testdata", "events.ndjson")] = "audience-events.ndjson"
	}
	return n.write(n.view(location{}), files)
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// DeclaredFrom makes a destination without code of a definition or of Segment's metadata: each action that has no requests sends its
// payloads to a made-up API. slug replaces the slug unless it is empty. It returns the slug, the new files, relative to dir, and what is
// left to do by hand.
func DeclaredFrom(dir, file, slug string) (string, []string, []string, error) {
	text, d, notes, err := readDefinition(file, slug, true)
	if err != nil {
		return "", nil, nil, err
	}
	n := New{Dir: dir, Slug: d.Slug, Name: d.Name, Scheme: Schemes()[0], Declared: true}
	err = errors.Join(n.checkSlug(), n.checkFree(file), n.checkNames(d))
	if d.Mode == "device" && err == nil {
		err = fmt.Errorf("%s: the actions of %s run in the browser (mode: device), where requests in YAML cannot be sent", file, d.Name)
	}
	if err != nil {
		return "", nil, nil, err
	}
	v := pluginView{view: n.view(location{}), definition: d, notes: notes}
	v.fillActions()
	if filepath.Ext(file) == ".json" { // the text is YAML, whatever it was made of
		file += ".yaml"
	}
	if text, err = yamldoc.Edit(file, text, v.withRequests(d.Document.Value())); err != nil {
		return "", nil, nil, err
	}
	if _, err := destination.ParseDefinition(file, text); err != nil {
		return "", nil, nil, err
	}
	files := map[string][]byte{destination.DefinitionFile: text, destination.SandboxFile: yamldoc.Write(v.sandboxRules())}
	if files["README.md"], err = v.execute("declared-README.md.tmpl"); err != nil {
		return "", nil, nil, err
	}
	v.addExamples(files)
	made, err := v.writeFiles(files)
	return d.Slug, made, v.notes, err
}

// readMetadata returns the definition that Segment's metadata describes, with requests or with code, and notes of what was not imported.
func readMetadata(file string, text []byte, declared bool) ([]byte, []string, error) {
	r, err := segment.Metadata(file, text, declared)
	if err != nil {
		return nil, nil, err
	}
	var notes []string
	for _, n := range r.Notes {
		notes = append(notes, n.String())
	}
	return r.YAML("Made of " + filepath.Base(file) + ", Segment's metadata."), notes, nil
}

// isJSON reports whether a text is a JSON object, such as metadata.
func isJSON(text []byte) bool { return bytes.HasPrefix(bytes.TrimSpace(text), []byte("{")) }

// withRequests returns a definition whose actions, hooks and audiences have requests, and whose settings are tested by one.
func (v *pluginView) withRequests(d event.Value) event.Value {
	over := []event.Member{}
	add := func(key string, value event.Value) { over = append(over, event.Member{Key: key, Value: value}) }
	if v.Tested && v.definition.Scheme != "none" {
		add("authentication", destination.Overlay(d.Get("authentication"), object("test", object("method", "GET", "url", "/me"))))
	}
	if !d.Get("request").Get("baseUrl").Exists() {
		base := object("baseUrl", v.baseURL())
		if v.Secret != "" {
			base = destination.Overlay(base, object("headers", object("Authorization", "Bearer {{settings."+v.Secret+"}}")))
		}
		add("request", destination.Overlay(base, d.Get("request")))
	}
	if audience := d.Get("audienceConfig"); v.Audiences && !audience.Get("create").Exists() {
		id := object("@path", "$.body.id")
		add("audienceConfig", destination.Overlay(audience, object(
			"create", object("request", object("url", "/audiences", "body", object("name", object("@path", "$.audience.name"))), "id", id),
			"find", object("request", object("method", "GET", "url", "/audiences/{{audience.externalId}}"), "id", id),
		)))
	}
	add("actions", v.actionsWithRequests(d.Get("actions")))
	return destination.Overlay(d, event.NewObject(over))
}

func (v *pluginView) baseURL() string { return "https://" + v.Host + "/v1" }

// actionsWithRequests returns the actions of a definition with requests for those that have none, and for their hooks.
func (v *pluginView) actionsWithRequests(actions event.Value) event.Value {
	var over []event.Member
	for _, a := range v.Actions {
		payload := object("@path", "$.payload")
		if reserved := reservedFields(a); len(reserved) > 0 {
			payload = object("@omit", object("value", payload, "keys", event.NewArray(reserved)))
		}
		method := event.Value{} // POST by default
		if a.Method != "Post" {
			method = event.NewString(strings.ToUpper(a.Method))
		}
		request := object("method", method, "url", "/"+a.Path, "body", payload)
		if a.Batch {
			request = object("method", method, "url", "/"+a.Path, "batch", object("item", payload), "body", object("items", object("@path", "$.items")))
		}
		over = append(over, event.Member{Key: a.Key, Value: destination.Overlay(actions.Get(a.Key), object("request", request))})
	}
	actions, over = destination.Overlay(actions, event.NewObject(over)), nil
	for _, a := range v.Hooks {
		hooks := actions.Get(a.Key).Get("hooks")
		for _, h := range a.ActionDefinition.Hooks {
			if h.Call == nil {
				declared := object("request", object("url", "/"+a.Path+"/"+h.Name, "body", object("@path", "$.inputs")), "outputs", object("@path", "$.body"))
				hooks = destination.Overlay(hooks, object(h.Name, destination.Overlay(hooks.Get(h.Name), declared)))
			}
		}
		over = append(over, event.Member{Key: a.Key, Value: destination.Overlay(actions.Get(a.Key), object("hooks", hooks))})
	}
	return destination.Overlay(actions, event.NewObject(over))
}

// reservedFields returns the fields of an action that are for the runtime, which a request should leave out.
func reservedFields(a actionView) (keys []event.Value) {
	for _, key := range a.Fields.Keys() {
		if destination.IsReserved(key) {
			keys = append(keys, event.NewString(key))
		}
	}
	return keys
}

// sandboxRules returns the rules of a simulated API that accepts the requests that were added.
func (v *pluginView) sandboxRules() event.Value {
	var routes []event.Value
	add := func(request string, more ...any) {
		pairs := append([]any{"request", request}, more...)
		routes = append(routes, object(append(pairs, "response", object("status", event.NewInt(200), "body", object("id", "1")))...))
	}
	add("GET /v1/me")
	for _, a := range v.Actions {
		schema := object("type", "object")
		if a.Batch {
			add(strings.ToUpper(a.Method)+" /v1/"+a.Path, "items", "items", "item", schema)
		} else {
			add(strings.ToUpper(a.Method)+" /v1/"+a.Path, "body", schema)
		}
	}
	for _, a := range v.Hooks {
		for _, h := range a.ActionDefinition.Hooks {
			add("POST /v1/" + a.Path + "/" + h.Name)
		}
	}
	if v.Audiences {
		add("POST /v1/audiences")
		add("GET /v1/audiences/*")
	}
	rules := []any{"refused", object("status", event.NewInt(400), "body", object("message", "{{message}}"))}
	switch scheme := v.definition.Scheme; {
	case v.Secret != "" || scheme.NeedsToken():
		rules = append(rules, "auth", object("header", "Authorization", "scheme", "Bearer"))
	case scheme == "basic":
		rules = append(rules, "auth", object("header", "Authorization", "scheme", "Basic"))
	}
	return object(append(rules, "routes", event.NewArray(routes))...)
}
