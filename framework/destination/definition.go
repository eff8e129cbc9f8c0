package destination

import (
	"fmt"
	"slices"
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

// Definition is a parsed destination.yaml.
type Definition struct {
	Name           string
	Slug           string
	Aliases        []string // alternative slugs
	Description    string
	Mode           string
	Browser        string // the file of the module that performs the actions in the browser; "" if they run here
	Limits         Limits
	Settings       fieldschema.Fields // the fields of authentication
	Scheme         Scheme             // how requests are authenticated
	TakesToken     bool               // requests carry an access token if there is one
	Test           *request.Request   // tests the settings; nil if the definition declares no request for it
	TestHandler    bool               // the settings are tested by Plugin.Test
	Delete         *request.Call      // deletes a user; nil if the definition declares no request for it
	Request        *request.Base      // what all requests have in common; may be nil
	OAuth          event.Value        // how to get access tokens, with the keys of oauth.Spec; if empty, the host provides them
	Presets        []Preset
	Actions        []ActionDefinition // in file order
	Audience       *AudienceConfig    // nil if the destination creates no audiences
	AudienceFields fieldschema.Fields // settings of one audience
	Document       *yamldoc.Document
}

// Limits are the limits of an instance. Zero means unlimited.
type Limits struct {
	Subscriptions int // enabled subscriptions
	// Requests are the limits of requests that the remote documents.
	Requests []budget.Window
}

// Preset is a suggested subscription.
type Preset struct {
	Name      string
	Type      string // automatic or specificEvent
	Action    string
	Subscribe string
	Mapping   event.Value // overrides the default mapping
}

// ActionDefinition is one action of a Definition.
type ActionDefinition struct {
	Key                 string
	Aliases             []string // alternative keys in configs
	Title               string
	Description         string
	DefaultSubscription string
	LifecycleHook       string // before: it runs in the browser before the event is sent anywhere; "" otherwise
	Fields              fieldschema.Fields
	Hidden              bool
	Hooks               []Hook                      // in execution order
	SyncMode            *SyncMode                   // nil if the action has none
	Request             *request.Request            // the declared request; nil if there is none
	Members             *MemberRequests             // the declared requests of an action that keeps audiences; nil if there are none
	Choices             map[string]*request.Request // requests that fetch the choices of dynamic fields, by field key
	Isolate             bool                        // a batch that is refused as a whole is halved until the invalid payloads are alone
}

// Action returns the action with this key or alias, or nil.
func (d *Definition) Action(key string) *ActionDefinition {
	for i := range d.Actions {
		if d.Actions[i].Key == key || slices.Contains(d.Actions[i].Aliases, key) {
			return &d.Actions[i]
		}
	}
	return nil
}

// ActionKeys returns the keys of the actions in file order.
func (d *Definition) ActionKeys() []string {
	keys := make([]string, len(d.Actions))
	for i := range d.Actions {
		keys[i] = d.Actions[i].Key
	}
	return keys
}

// PlacesToken reports whether a request uses the access token in a mapping. Otherwise the token is sent as a bearer token.
func (d *Definition) PlacesToken() bool {
	if d.Request.UsesToken() || d.Test != nil && d.Test.UsesToken() {
		return true
	}
	for _, a := range d.Actions {
		if slices.ContainsFunc(a.requests(), (*request.Request).UsesToken) {
			return true
		}
		for _, r := range a.Choices {
			if r.UsesToken() {
				return true
			}
		}
	}
	return false
}

// requests returns the requests that the action declares.
func (a *ActionDefinition) requests() []*request.Request {
	var list []*request.Request
	if a.Request != nil {
		list = append(list, a.Request)
	}
	if a.Members != nil {
		list = append(list, a.Members.requests()...)
	}
	return list
}

// IsDeclared reports whether the definition declares the requests of the action, so that it needs no handler.
func (a *ActionDefinition) IsDeclared() bool { return a.Request != nil || a.Members != nil }

// Secrets returns the keys of the password settings.
func (d *Definition) Secrets() []string {
	var keys []string
	for _, f := range d.Settings {
		if f.Type == fieldschema.Password {
			keys = append(keys, f.Key)
		}
	}
	return keys
}

// DefaultMapping returns the mapping made of the fields' defaults.
func (a *ActionDefinition) DefaultMapping() event.Value {
	var members []event.Member
	for _, f := range a.Fields {
		if f.Default.Kind() != event.Absent {
			members = append(members, event.Member{Key: f.Key, Value: f.Default})
		}
	}
	return event.NewObject(members)
}

// Overlay returns base with the members of over replacing or following its own, key by key.
func Overlay(base, over event.Value) event.Value {
	members := make([]event.Member, 0, base.Len()+over.Len())
	for key, v := range base.Members() {
		if replaced := over.Get(key); replaced.Kind() != event.Absent {
			v = replaced
		}
		members = append(members, event.Member{Key: key, Value: v})
	}
	for key, v := range over.Members() {
		if base.Get(key).Kind() == event.Absent {
			members = append(members, event.Member{Key: key, Value: v})
		}
	}
	return event.NewObject(members)
}

// ParseDefinition parses a definition and checks its schema, its fields, and every default mapping, subscription and preset.
// The error is a fault.Problems with the place of each problem in the file.
func ParseDefinition(file string, text []byte) (*Definition, error) {
	doc, err := yamldoc.Parse(file, text)
	if err != nil {
		return nil, err
	}
	problems := schemas.Check(schemas.Destination, doc.Value())
	if len(problems) > 0 {
		return nil, doc.Locate(problems)
	}
	d := &Definition{Document: doc}
	p := parser{d: d}
	p.parseDefinition(doc.Value())
	if len(p.problems) > 0 {
		return nil, doc.Locate(p.problems)
	}
	return d, nil
}

// Bounds of the time of a limit.
const (
	minWindow = 100 * time.Millisecond
	maxWindow = 24 * time.Hour
)

// parser fills a Definition from a value that has passed the schema.
type parser struct {
	d        *Definition
	problems fault.Problems
}

func (p *parser) parseDefinition(v event.Value) {
	d := p.d
	d.Name, d.Slug, d.Description = v.Get("name").Str(), v.Get("slug").Str(), v.Get("description").Str()
	d.Mode, d.Browser = v.Get("mode").Str(), v.Get("browser").Str()
	for _, alias := range v.Get("aliases").Items() {
		d.Aliases = append(d.Aliases, alias.Str())
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
	for _, key := range d.Scheme.entry().settings {
		if authentication.Get("fields").Get(key).Kind() == event.Absent {
			p.problems.Add(place, "needs the field %s because the scheme is %s", key, d.Scheme)
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
	p.problems.AddUnder(place, request.CheckMapping(d.OAuth, request.Names{request.Settings: append([]string{}, d.Settings.Keys()...)}))
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
	return request.Names{request.Settings: append([]string{}, p.d.Settings.Keys()...), request.Auth: {"accessToken"}}
}

// actionNames returns the names that the requests of an action may use.
func (p *parser) actionNames(a *ActionDefinition) request.Names {
	names := p.requestNames()
	names[request.Payload] = append([]string{}, a.Fields.Keys()...)
	names[request.SyncMode], names[request.Batched] = nil, nil
	if len(a.Hooks) > 0 {
		names[request.Hooks] = []string{}
		for _, h := range a.Hooks {
			names[request.Hooks] = append(names[request.Hooks], h.Name)
		}
	}
	return names
}

// parseChoices reads the requests that fetch the choices of fields.
func (p *parser) parseChoices(a *ActionDefinition, v event.Value, place string) {
	for key, m := range v.Members() {
		place := place + fault.PointerKey(key)
		if a.Fields.Find(key) == nil {
			p.problems.Add(place, "is not a field of %s%s", a.Key, fault.DidYouMean(key, a.Fields.Keys()))
		}
		if !m.Get("request").Get("response").Get("choices").Exists() {
			p.problems.Add(place+"/request", "needs response: {choices: …}, which says where to find the choices in a response")
		}
		names := p.actionNames(a)
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
	isolate, _ := v.Get("isolate").Bool()
	a := ActionDefinition{
		Key: key, Title: v.Get("title").Str(), Description: v.Get("description").Str(), Hidden: hidden, Isolate: isolate,
		LifecycleHook:       v.Get("lifecycleHook").Str(),
		DefaultSubscription: v.Get("defaultSubscription").Str(), Fields: p.parseFields(v.Get("fields"), place+"/fields"),
	}
	a.Hooks = p.parseHooks(v.Get("hooks"), place+"/hooks")
	a.SyncMode = p.parseSyncMode(v.Get("syncMode"), place+"/syncMode")
	if r := v.Get("request"); r.Exists() {
		a.Request = p.compileRequest(r, place+"/request", p.actionNames(&a))
	}
	a.Members = p.parseMembers(&a, v.Get("audience"), place+"/audience")
	p.parseChoices(&a, v.Get("dynamicFields"), place+"/dynamicFields")
	if a.DefaultSubscription != "" {
		_, err := fql.Compile(a.DefaultSubscription)
		p.problems.AddUnder(place+"/defaultSubscription", err)
	}
	for _, f := range a.Fields {
		if f.Default.Kind() != event.Absent {
			p.checkMapping(f.Default, place+"/fields"+fault.PointerKey(f.Key)+"/default")
		}
	}
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

func (p *parser) parsePreset(v event.Value, place string) {
	action := v.Get("action")
	if action.Kind() == event.Absent {
		action = v.Get("partnerAction")
	}
	preset := Preset{
		Name: v.Get("name").Str(), Type: v.Get("type").Str(), Action: action.Str(),
		Subscribe: v.Get("subscribe").Str(), Mapping: v.Get("mapping"),
	}
	if p.d.Action(preset.Action) == nil {
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

// checkMapping checks a mapping of the definition. A warning in a user's mapping is an error here.
func (p *parser) checkMapping(v event.Value, place string) {
	m, err := mapping.Compile(v)
	p.problems.AddUnder(place, err)
	if err == nil {
		p.problems.AddUnder(place, m.Warnings().Err())
	}
}
