package segment

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
)

// Metadata reads the metadata of a destination: as Segment's Public API gives it (GET /catalog/destinations/…: options, a list of
// actions whose fields are lists), or as its definition is written (authentication.fields, actions and fields by key). The value
// is a destination.yaml. The error is that of a text which holds no destination.
func Metadata(file string, text []byte) (Result, error) {
	doc, v, pointer, err := open(file, text, "destinationMetadata")
	if err != nil {
		return Result{}, err
	}
	r := reader{root: pointer, origin: map[string]string{}, ids: map[string]string{}}
	if !v.Get("actions").Exists() || v.Get("name").Str() == "" {
		return Result{}, fault.Problems{{File: file, Message: "holds no destination's metadata: there is no name, or there are no actions"}}
	}
	whole, err := r.prune(r.definition(v, pointer))
	if err != nil {
		return Result{}, err
	}
	return Result{Value: whole, Notes: doc.Locate(r.notes), Count: whole.Get("actions").Len()}, nil
}

// reader turns metadata into a definition.
type reader struct {
	root   string
	notes  fault.Problems
	origin map[string]string // where a part of the definition comes from, both as JSON pointers
	ids    map[string]string // keys of actions by their id
}

func (r *reader) note(pointer, format string, args ...any) { r.notes.Add(pointer, format, args...) }

func (r *reader) definition(v event.Value, at string) event.Value {
	var o object
	o.add("name", v.Get("name"))
	slug, alias := r.slug(v, at)
	o.text("slug", slug)
	if alias != "" {
		o.add("aliases", event.NewArray([]event.Value{event.NewString(alias)}))
	}
	mode := v.Get("mode").Str()
	if mode == "" {
		mode = "cloud"
	}
	o.text("mode", mode)
	o.add("description", v.Get("description"))
	o.add("authentication", r.authentication(v, at))
	actions := r.actions(v.Get("actions"), at+"/actions")
	presets := r.presets(v.Get("presets"), at+"/presets")
	if presets.Len() > 0 {
		o.add("presets", presets)
	}
	o.add("actions", actions)
	for _, key := range []string{"audienceFields", "audienceConfig", "onDelete", "extendRequest"} {
		if v.Get(key).Exists() {
			r.note(at+"/"+key, "does not come along: write it by hand")
		}
	}
	return o.value()
}

var notSlug = regexp.MustCompile(`[^a-z0-9]+`)

// slug is a slug that Landfall takes. What Segment calls actions-acme is acme, which also goes by its long name.
func (r *reader) slug(v event.Value, at string) (slug, alias string) {
	given := v.Get("slug").Str()
	if given == "" {
		given = v.Get("name").Str()
	}
	slug = strings.Trim(notSlug.ReplaceAllString(strings.ToLower(given), "-"), "-")
	if short := strings.TrimPrefix(slug, "actions-"); short != slug && short != "" {
		return short, slug
	}
	if slug != given && v.Get("slug").Exists() {
		r.note(at+"/slug", "%q is no slug here: it is %q", given, slug)
	}
	if slug == "" {
		slug = "imported"
		r.note(at+"/name", "makes no slug: it is %q", slug)
	}
	return slug, ""
}

// authentication is the scheme and the settings. The Public API says the settings only.
func (r *reader) authentication(v event.Value, at string) event.Value {
	var o object
	given, place := v.Get("authentication"), at+"/authentication"
	scheme := given.Get("scheme").Str()
	settings := r.settings(v, given, at)
	switch {
	case !given.Exists() && v.Get("options").Len() > 0:
		scheme = "custom"
		r.note(at+"/options", "do not say how requests prove who sends them: the scheme is custom, and a handler uses the settings")
	case scheme == "" || scheme == "none":
		scheme = "none"
	case scheme == "basic" && (!settings.Get("username").Exists() || !settings.Get("password").Exists()):
		scheme = "custom"
		r.note(place+"/scheme", "basic needs the settings username and password: the scheme is custom")
	case scheme == "oauth2" || scheme == "oauth2-client_credentials":
		scheme = "oauth-managed"
		r.note(place+"/scheme", "the addresses of OAuth are in code: the host gives tokens (oauth-managed); for logins write oauth2 with authorizeUrl and tokenUrl")
	}
	if r.takesOAuth(v) {
		scheme = "oauth-managed"
		r.note(at+"/options", "the addresses of OAuth are in code: the host gives tokens (oauth-managed); for logins write oauth2 with authorizeUrl and tokenUrl")
	}
	if given.Get("testAuthentication").Exists() {
		r.note(place+"/testAuthentication", "is code: write Plugin.Test")
	}
	o.text("scheme", scheme)
	if settings.Len() > 0 {
		o.add("fields", settings)
	}
	return o.value()
}

func (r *reader) takesOAuth(v event.Value) bool {
	for _, item := range v.Get("options").Items() {
		if item.Get("name").Str() == "oauth" {
			return true
		}
	}
	return v.Get("options").Get("oauth").Exists()
}

// settings are the fields of authentication, or the options: a list with names, or an object by key.
func (r *reader) settings(v, authentication event.Value, at string) event.Value {
	var o object
	for key, field := range authentication.Get("fields").Members() {
		place := at + "/authentication/fields" + fault.PointerKey(key)
		r.origin["/authentication/fields"+fault.PointerKey(key)] = place
		o.add(key, r.field(field, place))
	}
	take := func(key string, option event.Value, place string) {
		if key != "oauth" && key != "" {
			r.origin["/authentication/fields"+fault.PointerKey(key)] = place
			o.add(key, r.option(key, option, place))
		}
	}
	options := v.Get("options")
	for i, option := range options.Items() {
		take(option.Get("name").Str(), option, fmt.Sprintf("%s/options/%d", at, i))
	}
	for key, option := range options.Members() {
		take(key, option, at+"/options"+fault.PointerKey(key))
	}
	return o.value()
}

// secretWords are what the names of secrets end with.
var secretWords = regexp.MustCompile(`(?i)(password|secret|private_?key|api_?key|token)$`)

// option is a setting as the Public API has it.
func (r *reader) option(key string, v event.Value, place string) event.Value {
	kind, multiple := v.Get("type").Str(), false
	encrypted, _ := v.Get("encrypt").Bool()
	switch {
	case encrypted || kind == "password":
		kind = "password"
	case kind == "array":
		kind, multiple = "string", true
	case kind == "select" || kind == "" || kind == "color":
		kind = "string"
	case kind == "map" || kind == "mixed" || kind == "text-map":
		kind = "object"
	}
	if kind == "string" && !multiple && secretWords.MatchString(key) {
		kind = "password"
		r.note(place, "is taken for a secret by its name: the type is password")
	}
	var o object
	label := v.Get("label").Str()
	o.text("label", cmp.Or(label, key))
	o.add("description", v.Get("description"))
	o.text("type", kind)
	required, _ := v.Get("required").Bool()
	for _, validator := range v.Get("validators").Items() {
		required = required || validator.Index(0).Str() == "required"
	}
	if required {
		o.add("required", event.NewBool(true))
	}
	if multiple {
		o.add("multiple", event.NewBool(true))
	}
	def, _ := first(v, "default", "defaultValue")
	if !(kind != "boolean" && def.Falsy()) && def.Len() != 0 || def.Kind() == event.Number || def.Kind() == event.True || def.IsString() {
		o.add("default", def)
	}
	if choices := v.Get("options"); choices.Len() > 0 {
		o.add("choices", pairs(choices))
	}
	return o.value()
}

// pairs are choices with a label and a value.
func pairs(choices event.Value) event.Value {
	var list []event.Value
	for _, c := range choices.Items() {
		if c.Kind() != event.Object {
			list = append(list, c)
			continue
		}
		var o object
		label, _ := first(c, "label", "text", "value")
		o.text("label", label.Text())
		o.add("value", c.Get("value"))
		list = append(list, o.value())
	}
	return event.NewArray(list)
}

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
	o.add("defaultSubscription", query)
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
		query, _ := first(p, "subscribe", "trigger")
		o.add("subscribe", query)
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

// prune takes away what Landfall refuses of a definition, part by part, and notes it.
func (r *reader) prune(v event.Value) (event.Value, error) {
	const most = 10_000 // parts
	for range most {
		_, err := destination.ParseDefinition("", v.AppendJSON(nil))
		problems := fault.ProblemsOf(err)
		if len(problems) == 0 {
			return v, nil
		}
		p := problems[0]
		part := droppable(p.Pointer)
		smaller, dropped := without(v, event.PointerSteps(part))
		if part == "" || !dropped || smaller.Get("actions").Len() == 0 {
			return v, fmt.Errorf("nothing that Landfall takes is left: %w", err)
		}
		r.note(r.source(part, p.Pointer), "does not come along: %s", p.Message)
		r.shift(part)
		v = smaller
	}
	return v, fmt.Errorf("more than %d parts cannot be taken", most)
}

// droppable is the part that goes where something in it is wrong: a field without a type is no field, and a mapping that does not
// compile goes as a whole.
func droppable(pointer string) string {
	steps := strings.Split(pointer, "/")
	for i, step := range steps {
		inField := i > 2 && (steps[i-2] == "fields" || steps[i-2] == "properties" || steps[1] == "presets" && i == 3)
		if inField && slices.Contains([]string{"default", "mapping", "choices", "required", "depends_on"}, step) {
			if step == "mapping" {
				return strings.Join(steps[:3], "/") // a preset without its mapping is another one
			}
			return strings.Join(steps[:i+1], "/")
		}
	}
	switch last := steps[len(steps)-1]; {
	case len(steps) == 4 && steps[1] == "presets":
		return strings.Join(steps[:3], "/")
	case len(steps) > 2 && (last == "type" || last == "label" || last == "title"):
		return strings.Join(steps[:len(steps)-1], "/")
	}
	return pointer
}

// without is a value without what is at a place.
func without(v event.Value, steps []string) (event.Value, bool) {
	if len(steps) == 0 {
		return v, false
	}
	dropped := false
	change := func(key string, m event.Value) (event.Value, bool) {
		if key != steps[0] {
			return m, true
		}
		if len(steps) == 1 {
			dropped = true
			return m, false
		}
		m, dropped = without(m, steps[1:])
		return m, true
	}
	if v.Kind() == event.Array {
		var items []event.Value
		for i, item := range v.Items() {
			if m, keep := change(fmt.Sprint(i), item); keep {
				items = append(items, m)
			}
		}
		return event.NewArray(items), dropped
	}
	if v.Kind() != event.Object {
		return v, false
	}
	var members []event.Member
	for key, m := range v.Members() {
		if m, keep := change(key, m); keep {
			members = append(members, event.Member{Key: key, Value: m})
		}
	}
	return event.NewObject(members), dropped
}

// source is the place in the metadata that a part of the definition comes from.
func (r *reader) source(part, pointer string) string {
	for p := pointer; p != ""; p = p[:strings.LastIndexByte(p, '/')] {
		if from, ok := r.origin[p]; ok {
			return from + pointer[len(p):]
		}
	}
	return r.root + part
}

// shift keeps the places of presets behind one that goes.
func (r *reader) shift(part string) {
	var gone int
	if n, _ := fmt.Sscanf(part, "/presets/%d", &gone); n != 1 || strings.Count(part, "/") != 2 {
		return
	}
	for i := gone; ; i++ {
		next, ok := r.origin[fmt.Sprintf("/presets/%d", i+1)]
		if !ok {
			delete(r.origin, fmt.Sprintf("/presets/%d", i))
			return
		}
		r.origin[fmt.Sprintf("/presets/%d", i)] = next
	}
}
