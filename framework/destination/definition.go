package destination

import (
	"slices"

	"github.com/landfall-dev/landfall/framework/destination/request"
	"github.com/landfall-dev/landfall/framework/dispatch/budget"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/language/fieldschema"
	"github.com/landfall-dev/landfall/framework/language/yamldoc"
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
	Basic          *BasicCredentials  // what the scheme basic sends; nil for the settings username and password
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

	IntegrationNames []string // names in the integrations of events, besides Name, Slug and Aliases
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
	ReadsEvent          bool   // the handler gets the event, not only the payload
	ReadsMapping        bool   // the handler gets the subscription's mapping
	LifecycleHook       string // before: it runs in the browser before the event is sent anywhere; "" otherwise
	Fields              fieldschema.Fields
	Hidden              bool
	Hooks               []Hook                      // in execution order
	SyncMode            *SyncMode                   // nil if the action has none
	Request             *request.Request            // the declared request; nil if there is none
	Members             *MemberRequests             // the declared requests of an action that keeps audiences; nil if there are none
	Choices             map[string]*request.Request // requests that fetch the choices of dynamic fields, by field key
	Isolate             *Isolation                  // nil if a batch that is refused as a whole is not halved
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
	return d.Request.UsesToken() || slices.ContainsFunc(d.requests(), (*request.Request).UsesToken)
}

// requests returns all requests that the definition declares.
func (d *Definition) requests() []*request.Request {
	var list []*request.Request
	add := func(r *request.Request) {
		if r != nil {
			list = append(list, r)
		}
	}
	addCall := func(c *request.Call) {
		if c != nil {
			add(c.Request)
		}
	}
	add(d.Test)
	addCall(d.Delete)
	if d.Audience != nil {
		addCall(d.Audience.Create)
		addCall(d.Audience.Find)
	}
	for _, a := range d.Actions {
		add(a.Request)
		if a.Members != nil {
			list = append(list, a.Members.allRequests()...)
		}
		for _, h := range a.Hooks {
			addCall(h.Call)
		}
		for _, r := range a.Choices {
			add(r)
		}
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
