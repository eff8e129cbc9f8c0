// Package destination defines destinations. A Plugin is a definition (destination.yaml) and handlers for its actions. A handler
// gets a typed call and returns one result for each payload.
//
// A destination without code needs only the definition, whose actions say what they send (package destination/request). Handlers are
// for more: the types of their settings and payloads are generated, [Handle] makes an [Action] of a [Handler], and Plugin.Actions
// lists them by their keys in the definition. [SyncAudience] is for handlers that keep audiences, [Bisection] for remotes that refuse
// a whole request because of one item. `landfall new destination` creates a plugin with its tests.
//
// Handlers send requests with the Client, which sends each one once, and keep data in State and Members. The package must not
// know how plans are compiled, nor anything of queues or databases. Plugins and Definitions are immutable and safe for
// concurrent use. A handler may run concurrently with itself, but never for the same batch key of a subscription.
package destination

import (
	"context"
	"fmt"
	"io/fs"
	"net/http"
	"time"

	"github.com/landfall-dev/landfall/framework/destination/oauth"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
)

// DefinitionFile is the name of the definition in a plugin's directory.
const DefinitionFile = "destination.yaml"

// Plugin is a destination: its definition and the code that YAML cannot express.
type Plugin struct {
	// Definition holds destination.yaml.
	Definition fs.FS
	// File is the path of destination.yaml for error messages; "destination.yaml" by default.
	File string
	// Actions are the handlers by action key; Handle makes one. An action with a request in the definition needs no
	// handler, and an action that runs in the browser must not have one.
	Actions map[string]Action
	// Test asks the remote whether the settings are valid. It is nil if the remote cannot be asked. Its error is shown to
	// users.
	Test func(ctx context.Context, settings event.Value, deps Deps) error
	// Refresh gets a new token from a remote that does not follow RFC 6749; nil uses RFC 6749. After a retryable *fault.Error
	// it is called again; any other error stops the instance until a user logs in. Its Client adds no credentials.
	Refresh func(ctx context.Context, in RefreshInput) (oauth.Token, error)
	// Open prepares what the handlers of an instance share, such as an SDK's client or a connection, which they get as Deps.Opened. It is
	// called before the first call of a handler, and again after an error, which is the error of that call. What it returns is closed after
	// the last call: when the instance is changed or removed, or the program ends. It may be nil. It should send with in.Client, since a
	// call may belong to a dry run.
	Open func(ctx context.Context, in OpenInput) (Opened, error)
	// CheckSettings checks settings beyond their schema, before anything runs. It may be nil.
	CheckSettings func(settings event.Value, env Environment) error
	// OnDelete deletes a user at the remote. It gets the events of type delete, in order with the user's other events;
	// subscriptions do not get them. If it is nil, these events are treated like any other. Its errors are like those of
	// Perform.
	OnDelete func(ctx context.Context, in DeleteInput) error
	// Choices fetch the values of dynamic fields, by action key and field key. The key of a nested field contains dots, and that of an input of a
	// hook begins with the hook, such as onMappingSave.list_id.
	Choices map[string]map[string]ChoicesFunc
	// Hooks run when a subscription is saved, by action key and hook name. The definition declares them.
	Hooks map[string]map[string]HookFunc
	// CreateAudience creates an audience at the remote and returns its external id. GetAudience checks that an audience with an
	// external id exists, and returns the id as the remote spells it. Both need audienceConfig in the definition. An audience
	// is created once, before its first event is delivered; its events then have the id at
	// context.personas.external_audience_id.
	CreateAudience func(ctx context.Context, in AudienceInput) (externalID string, err error)
	GetAudience    func(ctx context.Context, in AudienceInput) (externalID string, err error)
	// Audiences allows members to be synced without events. It is nil if the destination has no audiences.
	Audiences *Audiences
	// Sandbox simulates the remote; it may be nil.
	Sandbox *Sandbox

	names        []string                    // the slug and aliases; nil if Named was not called
	parse        func() (*Definition, error) // returns the definition; nil if Named was not called
	completedFor *Definition                 // the definition that Complete was called with; nil before
}

// RefreshInput is the input of Plugin.Refresh.
type RefreshInput struct {
	Client       Client
	Settings     event.Value
	Old          oauth.Token
	ClientID     string
	ClientSecret string
	Now          func() time.Time // the clock, for Token.Expires; never nil
}

// Audiences describes how a destination syncs audience members without events.
type Audiences struct {
	// Action is the key of the action that changes members.
	Action string
	// Key is the field that holds the audience's key in events.
	Key string
	// ID is the field that holds the audience's id at the remote.
	ID string
	// Identifiers are the names of the values that identify a user, used as columns of a file.
	Identifiers []string
	// Time is the field of a payload with the time of the change, in any of the forms that event.ParseTime reads; "" if there is none.
	Time string
	// IdentityFields are the fields of a payload that identify a user, the most preferred first.
	IdentityFields []string
	// Identity returns the ledger's identity for these values; ok is false if they identify no user.
	Identity func(value func(identifier string) string) (identity string, ok bool)
	// Payload returns the payload of Action that makes one change.
	Payload func(Audience, Change) (event.Value, error)
	// Read returns the change that a payload of Action makes, if it names an audience and a user. fromEvent says what the event states if
	// the payload does not say whether the user is a member. It is nil for destinations whose payloads cannot be read.
	Read func(payload event.Value, fromEvent func() Membership) (Audience, Change, bool)
	// Ignores says which users the remote leaves out of an audience without an error, as a sentence for people; "" if it reports them.
	Ignores string
	// List lists the members at the remote. It is nil if the remote cannot do that.
	List *MemberList
}

// Sandbox simulates a remote API as it is documented, for running without an account. Several destinations may share one.
type Sandbox struct {
	Name    string // such as "braze"
	Options []SandboxOption
	// New returns a sandbox with empty state and its controls at /__sandbox/. Options that are not given make it lenient.
	New func(options map[string][]string) http.Handler
	// Check returns the mistakes in the rules of the sandbox or in its options; nil if it cannot have any. Callers use Mistakes.
	Check func(options map[string][]string) error
}

// Mistakes returns the mistakes in the rules of the sandbox or in its options, or nil if there are none or if there is no sandbox.
func (s *Sandbox) Mistakes(options map[string][]string) error {
	if s == nil || s.Check == nil {
		return nil
	}
	return s.Check(options)
}

// SandboxOption is a command-line flag that makes a sandbox stricter. It may be repeated.
type SandboxOption struct{ Name, Usage string }

// Load reads and checks the plugin's definition. The error is a fault.Problems. Each action needs either a handler or a
// request.
func (p Plugin) Load() (*Definition, error) {
	if p.completedFor != nil {
		return p.completedFor, nil
	}
	parse := p.parse
	if parse == nil {
		parse = p.parseDefinition
	}
	d, err := parse()
	if err != nil {
		return nil, err
	}
	if err := p.checkFolder(d); err != nil {
		return nil, err
	}
	if err := p.checkActions(d); err != nil {
		return nil, err
	}
	if err := p.checkBrowserModule(d); err != nil {
		return nil, err
	}
	if err := p.checkAudiences(d); err != nil {
		return nil, err
	}
	switch {
	case d.Delete != nil && p.OnDelete != nil:
		return nil, d.problemAt("/onDelete", "is not allowed: the plugin also has a handler for it")
	case d.Test != nil && p.Test != nil:
		return nil, d.problemAt("/authentication/test", "is not allowed: the plugin also has a handler for it")
	case d.TestHandler && p.Test == nil:
		return nil, d.problemAt("/authentication/test", "needs a handler: set Plugin.Test")
	}
	if err := p.checkHooks(d); err != nil {
		return nil, err
	}
	return d, p.checkChoices(d)
}

// checkActions refuses handlers of actions that are not declared, and actions with neither a handler nor requests, or with both.
func (p Plugin) checkActions(d *Definition) error {
	for key := range p.Actions {
		if d.Action(key) == nil {
			return fmt.Errorf("%s: Plugin.Actions has a handler for the action %q, which %s does not declare", d.Slug, key, DefinitionFile)
		}
	}
	for _, a := range d.Actions {
		switch _, ok := p.Actions[a.Key]; {
		case ok && a.IsDeclared():
			key := "/request"
			if a.Members != nil {
				key = "/audience"
			}
			return d.problemAt("/actions"+fault.PointerKey(a.Key)+key, "is not allowed: the action %q also has a handler", a.Key)
		case !ok && !a.IsDeclared() && d.Browser == "":
			return d.problemAt("/actions"+fault.PointerKey(a.Key), "has neither a request nor a handler")
		}
	}
	return nil
}

// checkChoices refuses choices for actions and fields that the definition does not declare.
func (p Plugin) checkChoices(d *Definition) error {
	for action, fields := range p.Choices {
		a := d.Action(action)
		if a == nil {
			return fmt.Errorf("%s: Plugin.Choices has the action %q, which %s does not declare", d.Slug, action, DefinitionFile)
		}
		for key := range fields {
			if a.Choices[key] != nil {
				return d.problemAt("/actions"+fault.PointerKey(action)+"/dynamicFields"+fault.PointerKey(key), "is not allowed: the plugin also has a handler for it")
			}
			if a.Fields.Find(key) == nil && a.hookInputs(key) == nil {
				return fmt.Errorf("%s: Plugin.Choices has the field %q of %s, which %s does not declare", d.Slug, key, action, DefinitionFile)
			}
		}
	}
	return nil
}

// problemAt returns an error with one problem of the definition.
func (d *Definition) problemAt(pointer, format string, args ...any) error {
	return d.Document.Locate(fault.Problems{{Pointer: pointer, Message: fmt.Sprintf(format, args...)}})
}

// Environment looks up a variable of the host, as os.LookupEnv does.
type Environment func(name string) (value string, ok bool)
