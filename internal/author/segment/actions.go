package segment

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/language/fql"
)

// readActions converts actions, given as an object by key or as a list in which each has a slug.
func (r *reader) readActions(v event.Value, at string) event.Value {
	var o object
	seen, titles := map[string]bool{}, map[string]string{}
	take := func(key string, action event.Value, place string) {
		switch {
		case strings.EqualFold(action.Get("platform").Str(), "web"):
			r.addNote(place, "is not imported: it runs in the browser")
		case key == "" || seen[key]:
			r.addNote(place, "is not imported: its key %q is empty or already used", key)
		default:
			seen[key] = true
			r.ids[action.Get("id").Str()] = key
			r.origin["/actions"+fault.PointerKey(key)] = place
			o.add(key, r.withUnique("title", titles, r.readAction(key, action, place), key, place))
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

func (r *reader) readAction(key string, v event.Value, place string) event.Value {
	var o object
	title, _ := firstMember(v, "title", "name")
	o.addText("title", cmp.Or(title.Str(), key))
	o.add("description", v.Get("description"))
	query, from := firstMember(v, "defaultSubscription", "defaultTrigger")
	r.origin["/actions"+fault.PointerKey(key)+"/defaultSubscription"] = place + "/" + from
	o.add("defaultSubscription", r.readQuery(query, place+"/"+from))
	if hidden, _ := v.Get("hidden").Bool(); hidden {
		o.add("hidden", event.NewBool(true))
	}
	o.addText("platform", strings.ToLower(v.Get("platform").Str()))
	o.add("syncMode", v.Get("syncMode"))
	if v.Get("hooks").Len() > 0 {
		r.addNote(place+"/hooks", "are not imported: they are code. Write them by hand")
	}
	if v.Get("dynamicFields").Exists() {
		r.addNote(place+"/dynamicFields", "are not imported: they fetch choices by code")
	}
	o.add("fields", r.readFields(v.Get("fields"), place+"/fields", "/actions"+fault.PointerKey(key)+"/fields"))
	if !r.declared {
		r.addNote(place, "the code of the action is not part of the metadata: write its handler")
	}
	return o.value()
}

// readFields converts fields, given as an object by key or as a list in which each has a fieldKey and a sortOrder.
func (r *reader) readFields(v event.Value, at, to string) event.Value {
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
	seen, labels := map[string]bool{}, map[string]string{}
	for _, e := range list {
		if e.key == "" || seen[e.key] {
			r.addNote(e.place, "is not imported: its key %q is empty or already used", e.key)
			continue
		}
		seen[e.key] = true
		r.origin[to+fault.PointerKey(e.key)] = e.place
		field := r.readField(e.value, e.place)
		if e.key == destination.BatchSize {
			field = r.boundBatchSize(field, e.place)
		}
		o.add(e.key, r.withUnique("label", labels, field, e.key, e.place))
	}
	return o.value()
}

// boundBatchSize returns the field batch_size with a maximum that allows its default. If no batch can be that large, it reduces both.
func (r *reader) boundBatchSize(field event.Value, place string) event.Value {
	size, wanted, limit := field.Get("default").Float(), field.Get("maximum").Float(), float64(destination.MaxBatchSize)
	if wanted == 0 {
		wanted, limit = size, destination.DefaultBatchSize
	}
	if wanted <= limit {
		return field
	}
	bound := min(wanted, destination.MaxBatchSize)
	changed := []event.Member{{Key: "maximum", Value: event.NewInt(int64(bound))}}
	if size > bound {
		changed = append(changed, event.Member{Key: "default", Value: event.NewInt(int64(bound))})
	}
	r.addNote(place, "a batch holds at most %d payloads unless the field has a larger maximum, up to %d: the maximum is now %d", destination.DefaultBatchSize, destination.MaxBatchSize, int64(bound))
	return destination.Overlay(field, event.NewObject(changed))
}

// withUnique returns a field or an action whose label or title differs from those seen before, which are by their text.
func (r *reader) withUnique(member string, seen map[string]string, v event.Value, key, place string) event.Value {
	text := v.Get(member).Str()
	other, taken := seen[text]
	if !taken {
		seen[text] = key
		return v
	}
	changed := fmt.Sprintf("%s (%s)", text, key)
	r.addNote(place+"/"+member, "is that of %s as well: it is %q here", other, changed)
	seen[changed] = key
	return destination.Overlay(v, event.NewObject([]event.Member{{Key: member, Value: event.NewString(changed)}}))
}

// landfallKey returns Landfall's name of a field's key in the Public API, or "" for a key that Landfall does not use.
func landfallKey(key string) string {
	switch key {
	case "defaultValue":
		return "default"
	case "id", "fieldKey", "sortOrder", "fieldSchema", "metadataActionId", "createdAt", "updatedAt":
		return ""
	}
	return key
}

// isDefault reports whether a key has its default value, so that it can be omitted.
func isDefault(key string, v event.Value) bool {
	switch key {
	case "required", "multiple", "allowNull", "unsafe_hidden":
		return v.Kind() == event.False
	case "choices":
		return v.Len() == 0
	}
	return false
}

// addType adds the type of a field, which the Public API writes in capitals. A hidden field is a text there.
func addType(o *object, v event.Value) {
	switch kind := strings.ToLower(v.Str()); {
	case !v.IsString():
		o.add("type", v)
	case kind == "hidden":
		o.addText("type", "string")
		o.add("unsafe_hidden", event.NewBool(true))
	default:
		o.addText("type", kind)
	}
}

func (r *reader) readField(v event.Value, place string) event.Value {
	var o object
	label := v.Get("label").Str()
	o.addText("label", cmp.Or(label, "Field"))
	for key, m := range v.Members() {
		switch key = landfallKey(key); {
		case key == "" || key == "label" || key == "dynamic" || isDefault(key, m):
		case key == "type":
			addType(&o, m)
		case key == "choices" && m.Kind() == event.Array:
			o.add(key, labelledChoices(m))
		case key == "default":
			if m.Exists() && !(m.IsString() && m.Str() == "") {
				o.add(key, m)
			}
		case key == "properties":
			o.add(key, r.readProperties(m, place+"/properties"))
		default:
			o.add(key, m)
		}
	}
	if dynamic, _ := v.Get("dynamic").Bool(); dynamic {
		r.addNote(place+"/dynamic", "is not imported: its choices are fetched by code. Any value is accepted")
	}
	if v.Get("fieldSchema").Exists() && strings.EqualFold(v.Get("type").Str(), "object") && !v.Get("properties").Exists() {
		r.addNote(place+"/fieldSchema", "is not imported: write the properties of the object by hand")
		o.add("additionalProperties", event.NewBool(true))
	}
	return o.value()
}

func (r *reader) readProperties(v event.Value, place string) event.Value {
	o, labels := object{}, map[string]string{}
	for key, field := range v.Members() {
		at := place + fault.PointerKey(key)
		o.add(key, r.withUnique("label", labels, r.readField(field, at), key, at))
	}
	return o.value()
}

// readQuery converts a query. It returns an absent value if the query cannot be converted.
func (r *reader) readQuery(v event.Value, place string) event.Value {
	if v.Str() == "" {
		return v
	}
	rewritten, err := fql.Rewrite(v.Str())
	if err != nil {
		return v // prune finds it again, and says what goes with it
	}
	noteRewritten(&r.notes, place, v.Str(), rewritten)
	return event.NewString(rewritten)
}

// readPresets converts suggested subscriptions, whose action is given by key or id.
func (r *reader) readPresets(v event.Value, at string) event.Value {
	var list []event.Value
	for i, p := range v.Items() {
		place := fmt.Sprintf("%s/%d", at, i)
		action, _ := firstMember(p, "partnerAction", "action", "actionSlug")
		key := action.Str()
		if key == "" {
			key = r.ids[p.Get("actionId").Str()]
		}
		var o object
		name := p.Get("name").Str()
		o.addText("name", cmp.Or(name, key, "Preset"))
		kind := p.Get("type").Str()
		o.addText("type", cmp.Or(kind, "automatic"))
		o.addText("action", key)
		query, from := firstMember(p, "subscribe", "trigger")
		o.add("subscribe", r.readQuery(query, place+"/"+from))
		o.add("eventSlug", p.Get("eventSlug"))
		mapping, _ := firstMember(p, "mapping", "fields")
		if mapping.Len() > 0 {
			o.add("mapping", mapping)
		}
		if key == "" {
			r.addNote(place, "is not imported: its action was not imported")
			continue
		}
		r.origin[fmt.Sprintf("/presets/%d", len(list))] = place
		list = append(list, o.value())
	}
	return event.NewArray(list)
}
