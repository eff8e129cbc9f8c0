package segment

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/language/fql"
)

// actions are actions by key: an object of them, or a list in which each has a slug.
func (r *reader) actions(v event.Value, at string) event.Value {
	var o object
	seen := map[string]bool{}
	take := func(key string, action event.Value, place string) {
		switch {
		case action.Get("platform").Str() == "web":
			r.note(place, "runs in the browser and does not come along")
		case key == "" || seen[key]:
			r.note(place, "does not come along: its key %q is empty or taken", key)
		default:
			seen[key] = true
			r.ids[action.Get("id").Str()] = key
			r.origin["/actions"+fault.PointerKey(key)] = place
			o.add(key, r.action(key, action, place))
		}
	}
	for i, action := range v.Items() {
		take(action.Get("slug").Str(), action, fmt.Sprintf("%s/%d", at, i))
	}
	for key, action := range v.Members() {
		take(key, action, at+fault.PointerKey(key))
	}
	return o.value()
}

func (r *reader) action(key string, v event.Value, place string) event.Value {
	var o object
	title, _ := first(v, "title", "name")
	o.text("title", cmp.Or(title.Str(), key))
	o.add("description", v.Get("description"))
	query, from := first(v, "defaultSubscription", "defaultTrigger")
	r.origin["/actions"+fault.PointerKey(key)+"/defaultSubscription"] = place + "/" + from
	o.add("defaultSubscription", r.query(query, place+"/"+from))
	if hidden, _ := v.Get("hidden").Bool(); hidden {
		o.add("hidden", event.NewBool(true))
	}
	o.add("platform", v.Get("platform"))
	o.add("syncMode", v.Get("syncMode"))
	if v.Get("hooks").Len() > 0 {
		r.note(place+"/hooks", "run code and do not come along: write them by hand")
	}
	if v.Get("dynamicFields").Exists() {
		r.note(place+"/dynamicFields", "fetch choices by code and do not come along")
	}
	o.add("fields", r.fields(v.Get("fields"), place+"/fields", "/actions"+fault.PointerKey(key)+"/fields"))
	r.note(place, "what the action does is code, which metadata does not hold: write its handler")
	return o.value()
}

// fields are fields by key: an object of them, or a list in which each has a fieldKey, by sortOrder.
func (r *reader) fields(v event.Value, at, to string) event.Value {
	type entry struct {
		key, place string
		value      event.Value
	}
	var list []entry
	for key, field := range v.Members() {
		list = append(list, entry{key, at + fault.PointerKey(key), field})
	}
	for i, field := range v.Items() {
		list = append(list, entry{field.Get("fieldKey").Str(), fmt.Sprintf("%s/%d", at, i), field})
	}
	if v.Kind() == event.Array {
		slices.SortStableFunc(list, func(a, b entry) int {
			return cmp.Compare(a.value.Get("sortOrder").Float(), b.value.Get("sortOrder").Float())
		})
	}
	o := object{}
	seen := map[string]bool{}
	for _, e := range list {
		if e.key == "" || seen[e.key] {
			r.note(e.place, "does not come along: its key %q is empty or taken", e.key)
			continue
		}
		seen[e.key] = true
		r.origin[to+fault.PointerKey(e.key)] = e.place
		o.add(e.key, r.field(e.value, e.place))
	}
	return o.value()
}

// renamed are the keys of fields that the Public API writes otherwise; those it adds for its own use are "".
func renamed(key string) string {
	switch key {
	case "defaultValue":
		return "default"
	case "id", "fieldKey", "sortOrder", "fieldSchema", "metadataActionId", "createdAt", "updatedAt":
		return ""
	}
	return key
}

// isNothing tells whether a key says what holds without it too.
func isNothing(key string, v event.Value) bool {
	switch key {
	case "required", "multiple", "dynamic", "allowNull", "unsafe_hidden":
		return v.Kind() == event.False
	case "choices":
		return v.Len() == 0
	}
	return false
}

func (r *reader) field(v event.Value, place string) event.Value {
	var o object
	label := v.Get("label").Str()
	o.text("label", cmp.Or(label, "Field"))
	for key, m := range v.Members() {
		switch key = renamed(key); {
		case key == "" || key == "label" || isNothing(key, m):
		case key == "choices" && m.Kind() == event.Array:
			o.add(key, pairs(m))
		case key == "default":
			if m.Exists() && !(m.IsString() && m.Str() == "") {
				o.add(key, m)
			}
		case key == "properties":
			o.add(key, r.properties(m, place+"/properties"))
		default:
			o.add(key, m)
		}
	}
	if dynamic, _ := v.Get("dynamic").Bool(); dynamic {
		r.note(place+"/dynamic", "its choices are fetched by code, which does not come along: any value is taken")
	}
	if v.Get("fieldSchema").Exists() && v.Get("type").Str() == "object" && !v.Get("properties").Exists() {
		r.note(place+"/fieldSchema", "the properties inside of the object do not come along: write them by hand")
		o.add("additionalProperties", event.NewBool(true))
	}
	return o.value()
}

func (r *reader) properties(v event.Value, place string) event.Value {
	o := object{}
	for key, field := range v.Members() {
		o.add(key, r.field(field, place+fault.PointerKey(key)))
	}
	return o.value()
}

// query returns a query as Landfall takes it, if what it means can be told.
func (r *reader) query(v event.Value, place string) event.Value {
	if !v.IsString() || v.Str() == "" {
		return v
	}
	rewritten, err := fql.Rewrite(v.Str())
	if err != nil {
		return v // prune finds it again, and says what goes with it
	}
	noteRewritten(&r.notes, place, v.Str(), rewritten)
	return event.NewString(rewritten)
}

// presets are suggested subscriptions, whose action goes by its key or its id.
func (r *reader) presets(v event.Value, at string) event.Value {
	var list []event.Value
	for i, p := range v.Items() {
		place := fmt.Sprintf("%s/%d", at, i)
		action, _ := first(p, "partnerAction", "action", "actionSlug")
		key := action.Str()
		if key == "" {
			key = r.ids[p.Get("actionId").Str()]
		}
		var o object
		name := p.Get("name").Str()
		o.text("name", cmp.Or(name, key, "Preset"))
		kind := p.Get("type").Str()
		o.text("type", cmp.Or(kind, "automatic"))
		o.text("action", key)
		query, from := first(p, "subscribe", "trigger")
		o.add("subscribe", r.query(query, place+"/"+from))
		o.add("eventSlug", p.Get("eventSlug"))
		mapping, _ := first(p, "mapping", "fields")
		if mapping.Len() > 0 {
			o.add("mapping", mapping)
		}
		if key == "" {
			r.note(place, "does not come along: its action is not here")
			continue
		}
		r.origin[fmt.Sprintf("/presets/%d", len(list))] = place
		list = append(list, o.value())
	}
	return event.NewArray(list)
}
