package sandbox

import (
	"errors"
	"fmt"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v5"

	"github.com/landfall-dev/landfall/framework/event"
)

// route is one path of a declared API with its rules.
type route struct {
	method, path string
	segments     []string // of path; * stands for any segment

	header, scheme, query, field string // where the credentials are; all "" if there are none

	body, item *jsonschema.Schema // nil for none
	items      *event.Path        // the list of items in the body; nil if the body is one item
	maxItems   int                // 0 for no limit
	partial    bool               // valid items are taken if others are refused

	members *memberRoute // nil if the route neither changes nor lists members

	response, refused, unauthorized declaredResponse
}

// itemRefusal is the reason why an item is refused.
type itemRefusal struct {
	index   int
	message string
}

// compileRoute compiles a route. Keys that it lacks are those of the whole file.
func compileRoute(file, v event.Value) (*route, error) {
	get := func(key string) event.Value {
		if own := v.Get(key); own.Exists() {
			return own
		}
		return file.Get(key)
	}
	r := &route{response: responseOf(get("response"), 200), refused: responseOf(get("refused"), 400), unauthorized: responseOf(get("unauthorized"), 401)}
	method, path, ok := strings.Cut(v.Get("request").Str(), " ")
	if !ok || !strings.HasPrefix(path, "/") {
		return nil, fmt.Errorf("request should be like POST /path, but is %q", v.Get("request").Str())
	}
	r.method, r.path, r.segments = method, path, strings.Split(path, "/")
	auth := get("auth")
	r.header, r.query, r.field = auth.Get("header").Str(), auth.Get("query").Str(), auth.Get("field").Str()
	if scheme := auth.Get("scheme").Str(); scheme != "" {
		r.scheme = scheme + " "
	}
	r.maxItems = int(v.Get("maxItems").Int())
	r.partial, _ = v.Get("partial").Bool()
	if list := v.Get("items"); list.IsString() {
		p := event.NewPath(list.Str())
		r.items = &p
	}
	var err error
	if r.members, err = compileMembers(v.Get("members"), get("response").Get("body")); err != nil {
		return nil, fmt.Errorf("members: %w", err)
	}
	if r.body, err = compileSchema(v.Get("body")); err != nil {
		return nil, fmt.Errorf("body: %w", err)
	}
	if r.item, err = compileSchema(v.Get("item")); err != nil {
		return nil, fmt.Errorf("item: %w", err)
	}
	return r, nil
}

func compileSchema(v event.Value) (*jsonschema.Schema, error) {
	if !v.Exists() {
		return nil, nil
	}
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat = true
	const name = "https://landfall.dev/sandbox.json"
	if err := compiler.AddResource(name, strings.NewReader(v.JSON())); err != nil {
		return nil, err
	}
	return compiler.Compile(name)
}

func (r *route) matchesPath(path string) bool {
	segments := strings.Split(path, "/")
	if len(segments) != len(r.segments) {
		return false
	}
	for i, s := range r.segments {
		if s != segments[i] && (s != "*" || segments[i] == "") {
			return false
		}
	}
	return true
}

// check checks the body as a whole.
func (r *route) check(body event.Value) error {
	if n := r.itemsOf(body).Len(); r.maxItems > 0 && n > r.maxItems {
		return fmt.Errorf("there are %d items, but the limit is %d", n, r.maxItems)
	}
	return checkSchema(r.body, body)
}

// itemsOf returns the list of items of a body: the body alone if it is one item.
func (r *route) itemsOf(body event.Value) event.Value {
	if r.items == nil {
		return event.NewArray([]event.Value{body})
	}
	return r.items.Read(body)
}

// refusedItems returns the items that the rules do not allow.
func (r *route) refusedItems(body event.Value) (list []itemRefusal) {
	for i, item := range r.itemsOf(body).Items() {
		if err := checkSchema(r.item, item); err != nil {
			list = append(list, itemRefusal{i, err.Error()})
		}
	}
	return list
}

// checkSchema returns an error that says how a value violates a schema. Without a schema every value is valid.
func checkSchema(schema *jsonschema.Schema, v event.Value) error {
	if schema == nil {
		return nil
	}
	err := schema.Validate(v.Any())
	var wrong *jsonschema.ValidationError
	if !errors.As(err, &wrong) {
		return err
	}
	for len(wrong.Causes) > 0 {
		wrong = wrong.Causes[0]
	}
	return errors.New(strings.TrimPrefix(wrong.InstanceLocation+": "+wrong.Message, ": "))
}
