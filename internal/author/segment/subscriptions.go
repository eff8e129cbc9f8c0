package segment

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/language/fql"
	"github.com/landfall-dev/landfall/framework/language/mapping"
	"github.com/landfall-dev/landfall/framework/runtime"
)

// ActionIDs returns the keys of actions by their id, from the metadata of a destination.
func ActionIDs(file string, text []byte) (map[string]string, error) {
	_, v, _, err := openEnvelope(file, text, "destinationMetadata")
	ids := map[string]string{}
	for _, action := range v.Get("actions").Items() {
		if id := action.Get("id").Str(); id != "" {
			ids[id] = action.Get("slug").Str()
		}
	}
	return ids, err
}

// Subscriptions reads subscriptions: as the Public API lists them (GET /destinations/…/subscriptions: actionSlug or actionId,
// trigger, settings), or as a definition and the settings of a source have them (partnerAction, subscribe, mapping); one, or a list.
// Segment does not add the defaults of fields to either. The value is {"subscriptions": […]}, a part of an instance. Of a definition,
// which may be nil, the actions and their fields are checked; ids may be nil. A subscription that could not run is left out and noted.
func Subscriptions(file string, text []byte, d *destination.Definition, ids map[string]string) (Result, error) {
	doc, v, pointer, err := openEnvelope(file, text, "subscriptions", "subscription")
	if err != nil {
		return Result{}, err
	}
	list := map[string]event.Value{}
	var order []string
	found := isSubscription(v)
	switch v.Kind() {
	case event.Array:
		for i, item := range v.Items() {
			place := fmt.Sprintf("%s/%d", pointer, i)
			list[place], order = item, append(order, place)
			found = found || isSubscription(item)
		}
	case event.Object:
		list[pointer], order = v, []string{pointer}
	}
	if !found {
		return Result{}, fault.Problems{{File: file, Message: notExported(doc.Value(), "holds no subscriptions", "/destinations/ID/subscriptions")}}
	}
	r := subscriptionReader{d: d, ids: ids, names: map[string]bool{}}
	taken := []event.Value{}
	for _, place := range order {
		if s, ok := r.readSubscription(list[place], place); ok {
			taken = append(taken, s)
		}
	}
	if next := doc.Value().Get("data").Get("pagination").Get("next"); next.Str() != "" {
		r.notes.Add("/data/pagination/next", "says that the API has further subscriptions: import those of its next pages, too")
	}
	whole := event.NewObject([]event.Member{{Key: "subscriptions", Value: event.NewArray(taken)}})
	return Result{Value: whole, Notes: doc.Locate(r.notes), Count: len(taken)}, nil
}

// isSubscription reports whether a value has a member that names the action of a subscription.
func isSubscription(v event.Value) bool {
	action, _ := firstMember(v, actionMembers...)
	return action.Exists()
}

// actionMembers are the members of subscriptions that name their action.
var actionMembers = []string{"partnerAction", "actionSlug", "action", "actionId"}

type subscriptionReader struct {
	d     *destination.Definition
	ids   map[string]string
	names map[string]bool
	notes fault.Problems
}

func (r *subscriptionReader) readSubscription(v event.Value, place string) (event.Value, bool) {
	if v.Kind() != event.Object {
		r.notes.Add(place, "is left out: it should be a subscription but is %s", v.Kind().WithArticle())
		return event.Value{}, false
	}
	var o object
	action, ok := r.readAction(v, place)
	query, queryKey := firstMember(v, "subscribe", "trigger")
	mapped, mappingKey := firstMember(v, "mapping", "settings")
	if mapped.IsString() { // as tools that keep infrastructure in files write it
		if parsed, err := event.ParseString(mapped.Str()); err == nil {
			mapped = parsed
		}
	}
	if query.Exists() && ok {
		query, ok = r.readQuery(query, place+"/"+queryKey)
	}
	mapped, mode := r.syncMode(mapped, v, place+"/"+mappingKey)
	if !ok || mapped.Exists() && !r.checkMapping(mapped, place+"/"+mappingKey) {
		return event.Value{}, false
	}
	name := r.uniqueName(v.Get("name").Str(), action, place)
	o.addText("name", name)
	o.addText("action", action)
	if enabled := v.Get("enabled"); enabled.Kind() == event.False {
		o.add("enabled", enabled)
	}
	o.add("subscribe", query)
	o.addText("syncMode", mode)
	if mapped.Exists() {
		o.add("mapping", mapped)
		whole := mappingKey == "settings" || v.Get("partnerAction").Exists() // Segment's mappings are whole
		if whole {
			o.add("useDefaultMappings", event.NewBool(false))
		}
		r.checkFields(mapped, action, mode, place+"/"+mappingKey, whole)
	}
	r.noteModels(v, place)
	return o.value(), true
}

// checkMapping notes what is wrong with a mapping, and reports whether it can be used.
func (r *subscriptionReader) checkMapping(mapped event.Value, place string) bool {
	compiled, err := mapping.Compile(mapped)
	if mapped.Kind() != event.Object {
		err = errors.New("should be an object")
	}
	if !r.noteError(place, err) {
		return false
	}
	r.notes.AddUnder(place, compiled.Warnings().Err())
	return true
}

// noteModels notes that a subscription of a warehouse is not imported as such.
func (r *subscriptionReader) noteModels(v event.Value, place string) {
	for _, key := range []string{"modelId", "reverseETLModelId", "reverseETLSchedule"} {
		if m := v.Get(key); m.Exists() && !(m.IsString() && m.Str() == "") {
			r.notes.Add(place+"/"+key, "is not imported: send rows of a warehouse as events of a source")
		}
	}
}

// readQuery converts a query. If it has to be rewritten, that is reported.
func (r *subscriptionReader) readQuery(v event.Value, place string) (event.Value, bool) {
	if !v.IsString() {
		return v, r.noteError(place, errors.New("should be a text"))
	}
	rewritten, err := fql.Rewrite(v.Str())
	if err != nil {
		return v, r.noteError(place, err)
	}
	noteRewritten(&r.notes, place, v.Str(), rewritten)
	return event.NewString(rewritten), true
}

// noteRewritten reports a rewritten query.
func noteRewritten(notes *fault.Problems, place, given, rewritten string) {
	if given != rewritten {
		notes.Add(place, "is rewritten as %s", rewritten)
	}
}

// noteError reports an error because of which the subscription is left out.
func (r *subscriptionReader) noteError(place string, err error) bool {
	for _, p := range fault.ProblemsOf(err) {
		r.notes.Add(place+p.Pointer, "the subscription is left out: %s", p.Message)
	}
	return err == nil
}

func (r *subscriptionReader) readAction(v event.Value, place string) (string, bool) {
	given, key := firstMember(v, actionMembers...)
	name := given.Str()
	if key == "actionId" {
		if name = r.ids[given.Str()]; name == "" {
			r.notes.Add(place+"/actionId", "is left out: %q is the id of an action; say with the destination's metadata which one it is", given.Str())
			return "", false
		}
	}
	switch {
	case name == "":
		r.notes.Add(place, "is left out: it names no action")
		return "", false
	case r.d != nil && r.d.Action(name) == nil:
		r.notes.Add(place+"/"+key, "is left out: %s has no action %q%s", r.d.Name, name, fault.DidYouMean(name, r.d.ActionKeys()))
		return "", false
	}
	return name, true
}

// syncMode moves the sync mode out of a mapping, where Segment stores it.
func (r *subscriptionReader) syncMode(mapped, v event.Value, place string) (event.Value, string) {
	const key = "__segment_internal_sync_mode"
	mode := v.Get("syncMode").Str()
	inside := mapped.Get(key)
	if !inside.Exists() {
		return mapped, mode
	}
	if slices.Contains([]string{"add", "update", "upsert", "delete", "mirror"}, inside.Str()) {
		mode = inside.Str()
	} else {
		r.notes.Add(place+"/"+key, "is not imported: there is no sync mode %s", inside.JSON())
	}
	rest, _ := removeAt(mapped, []string{key})
	return rest, mode
}

// uniqueName returns a name that no other subscription has.
func (r *subscriptionReader) uniqueName(name, action, place string) string {
	if name == "" {
		name = action
	}
	unique := name
	for i := 2; r.names[unique]; i++ {
		unique = fmt.Sprintf("%s %d", name, i)
	}
	if unique != name {
		r.notes.Add(place+"/name", "is already used: the subscription is called %q", unique)
	}
	r.names[unique] = true
	return unique
}

// checkFields notes the keys of a mapping that are neither fields nor hooks, and the parts for which the action refuses events. alone says
// that the fields' defaults are not used.
func (r *subscriptionReader) checkFields(mapped event.Value, action, mode, place string, alone bool) {
	if r.d == nil || mapping.IsDirective(mapped) {
		return
	}
	definition := r.d.Action(action)
	fields := definition.Fields.ForSyncMode(mode)
	for key := range mapped.Members() {
		if fields.Get(key) == nil && definition.Hook(key) == nil && !strings.HasPrefix(key, "__") {
			r.notes.Add(place+fault.PointerKey(key), "is not a field of %s and is dropped from payloads%s", action, fault.DidYouMean(key, fields.Keys()))
		}
	}
	whole := mapped
	if !alone {
		whole = destination.Overlay(definition.DefaultMapping(), mapped)
	}
	wrong, doubtful := runtime.CheckMapping(fields, whole)
	r.notes.AddUnder(place, append(wrong, doubtful...).Err())
}
