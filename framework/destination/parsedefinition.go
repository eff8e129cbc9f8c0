package destination

import (
	"fmt"
	"strings"
	"time"

	"github.com/landfall-dev/landfall/framework/destination/oauth"
	"github.com/landfall-dev/landfall/framework/destination/request"
	"github.com/landfall-dev/landfall/framework/dispatch/budget"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/language/fieldschema"
	"github.com/landfall-dev/landfall/framework/language/fql"
	"github.com/landfall-dev/landfall/framework/language/mapping"
	"github.com/landfall-dev/landfall/framework/language/yamldoc"
	"github.com/landfall-dev/landfall/schemas"
)

// ParseDefinition parses a definition and checks its schema, its fields, and every default mapping, subscription and preset.
// The error is a fault.Problems with the place of each problem in the file.
func ParseDefinition(file string, text []byte) (*Definition, error) {
	d, problems := ReadDefinition(file, text)
	if len(problems) > 0 {
		return nil, problems
	}
	return d, nil
}

// ReadDefinition is ParseDefinition for checks: it also returns what could be read of a definition with mistakes, so that Lint finds more of
// them. The Definition is nil if the text is not a YAML object. A plan can only be made of one without problems.
func ReadDefinition(file string, text []byte) (*Definition, fault.Problems) {
	doc, twice := yamldoc.Read(file, text)
	if doc == nil {
		return nil, twice
	}
	problems := schemas.Check(schemas.Destination, doc.Value())
	if doc.Value().Kind() != event.Object {
		return nil, append(twice, doc.Locate(problems)...)
	}
	p := parser{d: &Definition{Document: doc}, broken: placesOf(problems)}
	p.parseDefinition(doc.Value())
	problems.AddNew(p.problems)
	return p.d, append(twice, doc.Locate(problems)...)
}

// placesOf returns the places that have problems of the schema, and those of which a key has one.
func placesOf(problems fault.Problems) map[string]bool {
	places := map[string]bool{}
	for _, p := range problems {
		places[p.Pointer] = true
		if key := strings.LastIndexByte(p.Pointer, '/'); key >= 0 {
			places[p.Pointer[:key]] = true
		}
	}
	return places
}

// Bounds of the time of a limit.
const (
	minWindow = 100 * time.Millisecond
	maxWindow = 24 * time.Hour
)

// parser fills a Definition from an object. What the schema has reported is read as absent, or reported once more at the same place.
type parser struct {
	d        *Definition
	broken   map[string]bool // the places at which the schema has found problems
	problems fault.Problems
}

// isUnknown reports whether the keys of an object are not known, because it is missing at a place where a key is misspelt, or is no object.
func (p *parser) isUnknown(v event.Value, place, key string) bool {
	return v.Kind() != event.Object && (p.broken[place] || p.broken[place+"/"+key])
}

func (p *parser) parseDefinition(v event.Value) {
	d := p.d
	d.Name, d.Slug, d.Description = v.Get("name").Str(), v.Get("slug").Str(), v.Get("description").Str()
	d.Mode, d.Browser = v.Get("mode").Str(), v.Get("browser").Str()
	for _, alias := range v.Get("aliases").Items() {
		d.Aliases = append(d.Aliases, alias.Str())
	}
	for _, name := range v.Get("integrationNames").Items() {
		d.IntegrationNames = append(d.IntegrationNames, name.Str())
	}
	p.parseLimits(v.Get("limits"))
	authentication := v.Get("authentication")
	d.Scheme = Scheme(authentication.Get("scheme").Str())
	d.Settings = p.parseFields(authentication.Get("fields"), "/authentication/fields")
	p.parseOAuth(authentication)
	p.parseAudience(v)
	p.parseSharedRequests(v, authentication.Get("test"))
	names := p.requestNames()
	names[request.User] = []string{"id", "anonymousId"}
	d.Delete = p.compileCall(v.Get("onDelete"), "", "/onDelete", names)
	for key, action := range v.Get("actions").Members() {
		p.parseAction(key, action)
	}
	p.checkAudienceActions()
	p.checkBrowser()
	for i, preset := range v.Get("presets").Items() {
		p.parsePreset(preset, fmt.Sprintf("/presets/%d", i))
	}
}

// parseLimits reads the limits of an instance.
func (p *parser) parseLimits(v event.Value) {
	p.d.Limits.Subscriptions = int(v.Get("subscriptions").Float())
	for i, r := range v.Get("requests").Items() {
		per, err := time.ParseDuration(r.Get("per").Str())
		if err != nil || per < minWindow || per > maxWindow {
			p.problems.Add(fmt.Sprintf("/limits/requests/%d/per", i), "should be a time between %s and %s, such as 3s or 1h", minWindow, maxWindow)
			continue
		}
		p.d.Limits.Requests = append(p.d.Limits.Requests, budget.Window{Limit: int64(r.Get("limit").Float()), Per: per, Aligned: r.Get("window").Str() == "clock"})
	}
}

// parseOAuth reads how tokens are obtained, and checks what each scheme requires.
func (p *parser) parseOAuth(authentication event.Value) {
	d, place := p.d, "/authentication"
	d.Basic = p.parseBasic(authentication, place)
	for _, key := range d.Scheme.entry().settings {
		if d.Basic == nil && authentication.Get("fields").Get(key).Kind() == event.Absent {
			p.problems.Add(place, "needs the field %s because the scheme is %s: add it, or say what is sent with username and password beside the scheme", key, d.Scheme)
		}
	}
	switch d.Scheme.entry().token {
	case loginToken:
		d.TakesToken, d.OAuth = true, oauth.SelectSpec(authentication)
		if key := oauth.MissingKey(d.OAuth); key != "" {
			p.problems.Add(place, "needs %s", key)
		}
	case hostToken:
		d.TakesToken = true
	case optionalToken:
		place += "/oauth"
		d.TakesToken, _ = authentication.Get("oauth").Get("optional").Bool()
		d.OAuth = oauth.SelectSpec(authentication.Get("oauth"))
	}
	for _, key := range []string{"clientId", "clientSecret"} {
		p.checkCredential(d.OAuth.Get(key), place+"/"+key)
	}
	p.problems.AddUnder(place, oauth.CheckURLs(d.OAuth).Err())
	p.problems.AddUnder(place, request.CheckMapping(d.OAuth, p.requestNames().Only(request.Settings)))
}

// checkCredential reports a credential that is the name of a setting rather than its value.
func (p *parser) checkCredential(v event.Value, place string) {
	if p.d.Settings.Get(v.Str()) != nil {
		p.problems.Add(place, "is the text %q, which is the key of a setting: write \"{{settings.%s}}\" for its value", v.Str(), v.Str())
	}
}

// parseSharedRequests reads what all requests have in common, and the request that tests the settings.
func (p *parser) parseSharedRequests(v, test event.Value) {
	p.d.TestHandler = test.Str() == "handler"
	if base := v.Get("request"); base.Exists() {
		var err error
		p.d.Request, err = request.CompileBase(base, p.requestNames())
		p.problems.AddUnder("/request", err)
	}
	if test.Kind() == event.Object {
		p.d.Test = p.compileRequest(test, "/authentication/test", p.requestNames())
	}
}

// requestNames returns the names that every request may use.
func (p *parser) requestNames() request.Names {
	names := request.Names{request.Auth: {"accessToken"}}
	addFieldNames(names, request.Settings, p.d.Settings)
	authentication := p.d.Document.Value().Get("authentication")
	if authentication.Kind() != event.Object || p.isUnknown(authentication.Get("fields"), "/authentication", "fields") {
		names[request.Settings] = nil
	}
	return names
}

// actionNames returns the names that the requests of an action may use.
func (p *parser) actionNames(a *ActionDefinition) request.Names {
	names := p.requestNames()
	addFieldNames(names, request.Payload, a.Fields)
	names[request.SyncMode], names[request.Batched] = nil, nil
	place, v := "/actions"+fault.PointerKey(a.Key), p.d.Document.Value().Get("actions").Get(a.Key)
	if p.isUnknown(v.Get("fields"), place, "fields") {
		names[request.Payload] = nil
	}
	switch {
	case p.isUnknown(v.Get("hooks"), place, "hooks") || p.broken[place+"/hooks"]:
		names[request.Hooks] = nil
	case len(a.Hooks) > 0:
		names[request.Hooks] = []string{}
		for _, h := range a.Hooks {
			names[request.Hooks] = append(names[request.Hooks], h.Name)
			addFieldNames(names, request.Hooks+"."+h.Name, h.Outputs)
			if p.isUnknown(v.Get("hooks").Get(h.Name).Get("outputTypes"), place+"/hooks/"+h.Name, "outputTypes") {
				names[request.Hooks+"."+h.Name] = nil
			}
		}
	}
	return names
}

// parseChoices reads the requests that fetch the choices of fields of the action and of its hooks.
func (p *parser) parseChoices(a *ActionDefinition, v event.Value, place string) {
	for key, m := range v.Members() {
		place := place + fault.PointerKey(key)
		inputs := a.hookInputs(key)
		if inputs == nil && a.Fields.Find(key) == nil {
			p.problems.Add(place, "is not a field of %s%s", a.Key, fault.DidYouMean(key, a.Fields.Keys()))
		}
		if !m.Get("request").Get("response").Get("choices").Exists() {
			p.problems.Add(place+"/request", "needs response: {choices: …}, which says where to find the choices in a response")
		}
		names := p.actionNames(a)
		if inputs != nil {
			names = p.requestNames()
			addFieldNames(names, request.Inputs, inputs)
		}
		names[request.Query], names[request.Page] = nil, nil
		if r := p.compileRequest(m.Get("request"), place+"/request", names); r != nil {
			if a.Choices == nil {
				a.Choices = map[string]*request.Request{}
			}
			a.Choices[key] = r
		}
	}
}

func (p *parser) compileRequest(v event.Value, place string, names request.Names) *request.Request {
	return p.compileRequestWith(request.Compile, v, place, names)
}

func (p *parser) compileRequestWith(compile func(event.Value, request.Names) (*request.Request, error), v event.Value, place string, names request.Names) *request.Request {
	r, err := compile(v, names)
	p.problems.AddUnder(place, err)
	if r != nil {
		p.checkBase(r, place)
	}
	return r
}

// compileCall compiles the request of v and the mapping of its result at key. It returns nil if v has neither, and with a problem.
func (p *parser) compileCall(v event.Value, key, place string, names request.Names) *request.Call {
	if !v.Get("request").Exists() {
		return nil
	}
	call, err := request.CompileCall(v.Get("request"), v.Get(key), key, names)
	p.problems.AddUnder(place, err)
	if call != nil {
		p.checkBase(call.Request, place+"/request")
	}
	return call
}

// checkBase reports a request whose URL is a path if the definition has nothing before it.
func (p *parser) checkBase(r *request.Request, place string) {
	if r.IsRelative() && !p.d.Document.Value().Get("request").Get("baseUrl").Exists() {
		p.problems.Add(place+"/url", "is a path, but the destination has no request: {baseUrl: …}")
	}
}

func (p *parser) parseFields(v event.Value, place string) fieldschema.Fields {
	if v.Kind() == event.Absent {
		return nil
	}
	fields, err := fieldschema.ParseFields(v)
	p.problems.AddUnder(place, err)
	p.problems.AddUnder(place, fields.Check().Err())
	return fields
}

func (p *parser) parseAction(key string, v event.Value) {
	place := "/actions" + fault.PointerKey(key)
	hidden, _ := v.Get("hidden").Bool()
	a := ActionDefinition{
		Key: key, Title: v.Get("title").Str(), Description: v.Get("description").Str(), Hidden: hidden, Isolate: p.parseIsolation(v.Get("isolate"), place+"/isolate"),
		LifecycleHook:       v.Get("lifecycleHook").Str(),
		DefaultSubscription: v.Get("defaultSubscription").Str(), Fields: p.parseFields(v.Get("fields"), place+"/fields"),
	}
	a.Hooks = p.parseHooks(v.Get("hooks"), place+"/hooks")
	a.SyncMode = p.parseSyncMode(v.Get("syncMode"), place+"/syncMode")
	if r := v.Get("request"); r.Exists() {
		a.Request = p.compileRequest(r, place+"/request", p.actionNames(&a))
	}
	p.parseReads(&a, v.Get("reads"), place+"/reads")
	a.Members = p.parseMembers(&a, v.Get("audience"), place+"/audience")
	p.parseChoices(&a, v.Get("dynamicFields"), place+"/dynamicFields")
	if a.DefaultSubscription != "" {
		_, err := fql.Compile(a.DefaultSubscription)
		p.problems.AddUnder(place+"/defaultSubscription", err)
	}
	p.checkDefaults(a.Fields, place+"/fields")
	for _, alias := range v.Get("aliases").Items() {
		a.Aliases = append(a.Aliases, alias.Str())
	}
	for _, name := range append([]string{key}, a.Aliases...) {
		if other := p.d.Action(name); other != nil {
			p.problems.Add(place, "and %s have the same key: %q", other.Key, name)
		}
	}
	p.d.Actions = append(p.d.Actions, a)
}

// parseReads reads what a handler gets besides the payload.
func (p *parser) parseReads(a *ActionDefinition, list event.Value, place string) {
	if list.Len() > 0 && a.Request != nil {
		p.problems.Add(place, "is for handlers in Go: a request reads the payload")
	}
	for _, name := range list.Items() {
		a.ReadsEvent = a.ReadsEvent || name.Str() == "event"
		a.ReadsMapping = a.ReadsMapping || name.Str() == "mapping"
	}
}

func (p *parser) parsePreset(v event.Value, place string) {
	action := v.Get("action")
	if action.Kind() == event.Absent {
		action = v.Get("partnerAction")
	}
	preset := Preset{
		Name: v.Get("name").Str(), Type: v.Get("type").Str(), Action: action.Str(),
		Subscribe: v.Get("subscribe").Str(), Mapping: v.Get("mapping"),
	}
	if p.d.Action(preset.Action) == nil && p.d.Document.Value().Get("actions").Kind() == event.Object {
		p.problems.Add(place+"/action", "is not an action of the destination: %q%s", preset.Action, fault.DidYouMean(preset.Action, p.d.ActionKeys()))
	}
	if preset.Subscribe != "" {
		_, err := fql.Compile(preset.Subscribe)
		p.problems.AddUnder(place+"/subscribe", err)
	}
	if preset.Mapping.Kind() != event.Absent {
		p.checkMapping(preset.Mapping, place+"/mapping")
	}
	p.d.Presets = append(p.d.Presets, preset)
}

// checkDefaults checks the default mappings of fields and of their properties.
func (p *parser) checkDefaults(fields fieldschema.Fields, place string) {
	for _, f := range fields {
		at := place + fault.PointerKey(f.Key)
		if f.Default.Kind() != event.Absent {
			p.checkMapping(f.Default, at+"/default")
		}
		p.checkDefaults(f.Properties, at+"/properties")
	}
}

// checkMapping checks a mapping of the definition. A warning in a user's mapping is an error here.
func (p *parser) checkMapping(v event.Value, place string) {
	m, err := mapping.Compile(v)
	p.problems.AddUnder(place, err)
	if err == nil {
		p.problems.AddUnder(place, m.Warnings().Err())
		p.problems.AddUnder(place, mapping.Mistakes(v).Err())
	}
}
