package sandbox

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v5"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
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
	item    event.Value
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
	method, path, _ := strings.Cut(v.Get("request").Str(), " ")
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
	var problems fault.Problems
	var err error
	r.members, err = compileMembers(v.Get("members"), get("response").Get("body"))
	problems.AddUnder("/members", err)
	r.body, err = compileSchema(v.Get("body"))
	problems.AddUnder("/body", err)
	r.item, err = compileSchema(v.Get("item"))
	problems.AddUnder("/item", err)
	return r, problems.Err()
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

// check checks the body as a whole and returns its items.
func (r *route) check(body event.Value, isForm bool) ([]event.Value, error) {
	items, err := r.itemsOf(body, isForm)
	if err != nil {
		return nil, err
	}
	if r.maxItems > 0 && len(items) > r.maxItems {
		return nil, fmt.Errorf("there are %d items, but the limit is %d", len(items), r.maxItems)
	}
	return items, checkSchema(r.body, body)
}

// itemsOf returns the items of a body: the body alone if it is one item. In a form, a field that is not repeated is a list of one.
func (r *route) itemsOf(body event.Value, isForm bool) (items []event.Value, err error) {
	if r.items == nil {
		return []event.Value{body}, nil
	}
	list := r.items.Read(body)
	switch {
	case list.Kind() == event.Array:
		for _, item := range list.Items() {
			items = append(items, item)
		}
		return items, nil
	case list.Exists() && isForm:
		return []event.Value{list}, nil
	case r.items.String() == "":
		return nil, fmt.Errorf("the body should be a list but is %s", list.Kind().WithArticle())
	case !list.Exists():
		return nil, fmt.Errorf("the body has no list %q", r.items)
	}
	return nil, fmt.Errorf("%q in the body should be a list but is %s", r.items, list.Kind().WithArticle())
}

// refusedItems returns the items that the rules of a route do not allow.
func (d *Declared) refusedItems(r *route, items []event.Value) (list []itemRefusal) {
	for i, item := range items {
		err := checkSchema(r.item, item)
		if slices.Contains(d.refusedIndexes, i) && r.partial && r.response.list != "" {
			err = errors.New("the sandbox was told to refuse this item")
		}
		if err != nil {
			list = append(list, itemRefusal{i, item, err.Error()})
		}
	}
	return list
}

// withoutRefused returns the items that are taken.
func withoutRefused(items []event.Value, refused []itemRefusal) (taken []event.Value) {
	for i, item := range items {
		if !slices.ContainsFunc(refused, func(r itemRefusal) bool { return r.index == i }) {
			taken = append(taken, item)
		}
	}
	return taken
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
