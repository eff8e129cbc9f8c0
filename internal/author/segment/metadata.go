package segment

import (
	"cmp"
	"fmt"
	"regexp"
	"strings"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/destination/httpx"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
)

// Metadata converts the metadata of a destination to a destination.yaml. The metadata may have the form of Segment's Public API (GET
// /catalog/destinations/…: options, and a list of actions whose fields are lists) or that of a definition (authentication.fields,
// actions and fields by key). declared says that the destination will have requests instead of code, for the notes. It returns an error if
// the text has no destination.
func Metadata(file string, text []byte, declared bool) (Result, error) {
	doc, v, pointer, err := openEnvelope(file, text, "destinationMetadata")
	if err != nil {
		return Result{}, err
	}
	r := reader{root: pointer, declared: declared, origin: map[string]string{}, ids: map[string]string{}}
	if !v.Get("actions").Exists() || v.Get("name").Str() == "" {
		return Result{}, fault.Problems{{File: file, Message: notExported(doc.Value(), "is not the metadata of a destination, as the name or the actions are missing", "/catalog/destinations/ID")}}
	}
	whole, err := r.pruneInvalid(r.readDefinition(v, pointer))
	if err != nil {
		return Result{}, err
	}
	whole = r.dropUnknownMappings(whole)
	return Result{Value: whole, Notes: doc.Locate(r.notes), Count: whole.Get("actions").Len()}, nil
}

// reader converts metadata to a definition.
type reader struct {
	root     string
	declared bool // the destination will have requests instead of code
	notes    fault.Problems
	origin   map[string]string // where a part of the definition comes from, both as JSON pointers
	ids      map[string]string // keys of actions by their id
}

// addCodeNote adds a note of something that is code: what it is, and what to write in Go or in YAML instead.
func (r *reader) addCodeNote(pointer, what, inGo, inYAML string) {
	if r.declared {
		inGo = inYAML
	}
	r.addNote(pointer, "%s: %s", what, inGo)
}

func (r *reader) addNote(pointer, format string, args ...any) { r.notes.Add(pointer, format, args...) }

func (r *reader) readDefinition(v event.Value, at string) event.Value {
	var o object
	o.add("name", v.Get("name"))
	slug, alias := r.readSlug(v, at)
	o.addText("slug", slug)
	if alias != "" {
		o.add("aliases", event.NewArray([]event.Value{event.NewString(alias)}))
	}
	mode := v.Get("mode").Str()
	if mode == "" {
		mode = "cloud"
	}
	o.addText("mode", mode)
	o.add("description", v.Get("description"))
	o.add("authentication", r.readAuthentication(v, at))
	actions := r.readActions(v.Get("actions"), at+"/actions")
	presets := r.readPresets(v.Get("presets"), at+"/presets")
	if presets.Len() > 0 {
		o.add("presets", presets)
	}
	o.add("actions", actions)
	o.add("audienceConfig", r.audienceConfig(v.Get("audienceConfig"), at+"/audienceConfig"))
	if fields := v.Get("audienceFields"); fields.Len() > 0 {
		o.add("audienceFields", r.readFields(fields, at+"/audienceFields", "/audienceFields"))
	}
	for _, key := range []string{"onDelete", "extendRequest"} {
		if v.Get(key).Exists() {
			r.addNote(at+"/"+key, "is not imported: write it by hand")
		}
	}
	return o.value()
}

// audienceConfig returns how the destination takes audiences; absent if it takes none, or in a way that does not exist here.
func (r *reader) audienceConfig(v event.Value, at string) event.Value {
	if !v.Exists() {
		return event.Value{}
	}
	r.origin["/audienceConfig"] = at
	kind := v.Get("mode").Get("type").Str()
	switch kind {
	case "synced":
		r.addCodeNote(at, "creating and finding an audience is code", "write Plugin.CreateAudience and Plugin.GetAudience", "complete audienceConfig.create and audienceConfig.find")
	case "realtime":
	default:
		r.addNote(at+"/mode", "is not imported: the type of the mode is neither synced nor realtime")
		return event.Value{}
	}
	var mode, o object
	mode.addText("type", kind)
	if full := v.Get("mode").Get("full_audience_sync"); full.Exists() {
		mode.add("full_audience_sync", full)
	}
	o.add("mode", mode.value())
	return o.value()
}

var notSlug = regexp.MustCompile(`[^a-z0-9]+`)

// readSlug returns a slug that Landfall accepts. Segment's actions-acme becomes acme with the alias actions-acme.
func (r *reader) readSlug(v event.Value, at string) (slug, alias string) {
	given := v.Get("slug").Str()
	if given == "" {
		given = v.Get("name").Str()
	}
	slug = strings.Trim(notSlug.ReplaceAllString(strings.ToLower(given), "-"), "-")
	if short := strings.TrimPrefix(slug, "actions-"); short != slug && short != "" {
		return short, slug
	}
	if slug != given && v.Get("slug").Exists() {
		r.addNote(at+"/slug", "%q is not a valid slug: the slug is %q", given, slug)
	}
	if slug == "" {
		slug = "imported"
		r.addNote(at+"/name", "cannot be made into a slug: the slug is %q", slug)
	}
	return slug, ""
}

// readAuthentication converts the scheme and the settings. The Public API has the settings only.
func (r *reader) readAuthentication(v event.Value, at string) event.Value {
	var o object
	given, place := v.Get("authentication"), at+"/authentication"
	scheme := given.Get("scheme").Str()
	settings := r.readSettings(v, given, at)
	switch {
	case !given.Exists() && v.Get("options").Len() > 0:
		scheme = "custom"
		r.addCodeNote(at+"/options", "do not say how requests are authenticated", "the scheme is custom, and the handlers must use the settings", "the scheme is custom, and request.headers must use the settings")
	case scheme == "" || scheme == "none":
		scheme = "none"
	case scheme == "basic" && (!settings.Get("username").Exists() || !settings.Get("password").Exists()):
		scheme = "custom"
		r.addNote(place+"/scheme", "basic needs the settings username and password: the scheme is custom")
	case scheme == "oauth2" || scheme == "oauth2-client_credentials":
		scheme = "oauth-managed"
		r.addNote(place+"/scheme", "the OAuth URLs are in code: the scheme is oauth-managed, and the host supplies tokens. For logins, write oauth2 with authorizeUrl and tokenUrl")
	}
	if r.takesOAuth(v) {
		scheme = "oauth-managed"
		r.addNote(at+"/options", "the OAuth URLs are in code: the scheme is oauth-managed, and the host supplies tokens. For logins, write oauth2 with authorizeUrl and tokenUrl")
	}
	if given.Get("testAuthentication").Exists() {
		r.addCodeNote(place+"/testAuthentication", "is code", "write Plugin.Test", "complete authentication.test")
	}
	o.addText("scheme", scheme)
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

// readSettings converts the fields of authentication, or the options, which are a list with names or an object by key.
func (r *reader) readSettings(v, authentication event.Value, at string) event.Value {
	o, labels := object{}, map[string]string{}
	for key, field := range authentication.Get("fields").Members() {
		place := at + "/authentication/fields" + fault.PointerKey(key)
		r.origin["/authentication/fields"+fault.PointerKey(key)] = place
		o.add(key, r.withUnique("label", labels, r.hideSecret(key, r.readField(field, place), place), key, place))
	}
	take := func(key string, option event.Value, place string) {
		if key != "oauth" && key != "" {
			r.origin["/authentication/fields"+fault.PointerKey(key)] = place
			o.add(key, r.withUnique("label", labels, r.readOption(key, option, place), key, place))
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

// readOption converts a setting of the Public API.
func (r *reader) readOption(key string, v event.Value, place string) event.Value {
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
	var o object
	label := v.Get("label").Str()
	o.addText("label", cmp.Or(label, key))
	o.add("description", v.Get("description"))
	o.addText("type", kind)
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
	def, _ := firstMember(v, "default", "defaultValue")
	if !(kind != "boolean" && def.Falsy()) && def.Len() != 0 || def.Kind() == event.Number || def.Kind() == event.True || def.IsString() {
		o.add("default", def)
	}
	if choices := v.Get("options"); choices.Len() > 0 {
		o.add("choices", labelledChoices(choices))
	}
	return r.hideSecret(key, o.value(), place)
}

// hideSecret returns a setting with the type password if it is a text with the name of a secret.
func (r *reader) hideSecret(key string, field event.Value, place string) event.Value {
	if multiple, _ := field.Get("multiple").Bool(); multiple || field.Get("type").Str() != "string" || !httpx.IsSecretName(key) {
		return field
	}
	r.addNote(place, "has the name of a secret: the type is password")
	return destination.Overlay(field, event.NewObject([]event.Member{{Key: "type", Value: event.NewString("password")}}))
}

// labelledChoices returns choices with a label and a value.
func labelledChoices(choices event.Value) event.Value {
	var list []event.Value
	for _, c := range choices.Items() {
		if c.Kind() != event.Object {
			list = append(list, c)
			continue
		}
		var o object
		label, _ := firstMember(c, "label", "text", "value")
		o.addText("label", label.Text())
		o.add("value", c.Get("value"))
		list = append(list, o.value())
	}
	return event.NewArray(list)
}
