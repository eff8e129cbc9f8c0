// Package destination is what the author of a destination sees: a Plugin is a definition (destination.yaml) and the
// handlers of its actions; a handler gets a typed call and answers with one result for each payload.
//
// A handler does no plumbing: requests go through the Client, which sends each one once, and what must be remembered
// goes through State and Members. The package knows nothing of how plans are made, of queues or of databases.
// Plugins and Definitions are immutable and safe for concurrent use; a handler may run many times at once, though never
// twice at once for the same batch key of a subscription.
package destination

import (
	"cmp"
	"context"
	"fmt"
	"io/fs"
	"net/http"
	"time"

	"github.com/landfall-dev/landfall/framework/destination/oauth"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
)

// DefinitionFile is the name of a definition in a plugin's directory.
const DefinitionFile = "destination.yaml"

// Plugin is a destination: its definition and what YAML cannot say.
type Plugin struct {
	// Definition holds destination.yaml.
	Definition fs.FS
	// File is the name of destination.yaml in errors; that by default.
	File string
	// Actions are the handlers by action key; Handle makes one. Actions with a request in the definition need none.
	Actions map[string]Action
	// Test asks the remote whether the settings are good; nil where it cannot be asked. The error is for people.
	Test func(ctx context.Context, settings event.Value, deps Deps) error
	// Refresh gets a fresh token where the remote has a way of its own; nil for the way of RFC 6749. A retryable *fault.Error
	// may pass; any other error stops the instance until somebody logs in. It has a Client without credentials.
	Refresh func(ctx context.Context, in RefreshInput) (oauth.Token, error)
	// CheckSettings finds what a schema cannot see in settings, before anything runs; nil where there is nothing.
	CheckSettings func(settings event.Value, env Environment) error
	// OnDelete deletes a user at the remote: events of type delete come to it, and to no subscription, in order with the user's
	// others. Nil where the remote keeps nobody; then such events are like any other. Its errors are like those of Perform.
	OnDelete func(ctx context.Context, in DeleteInput) error
	// Choices fetch the values of dynamic fields, by action and by field; nested fields have dots in their key.
	Choices map[string]map[string]ChoicesFunc
	// Hooks run when a subscription is saved, by action and by name; the definition declares them.
	Hooks map[string]map[string]HookFunc
	// CreateAudience makes an audience at the remote and gives its external id; GetAudience tells whether there is one with an
	// external id, and gives that as the remote writes it. Both need audienceConfig in the definition. An audience is created
	// once, before the first of its events is delivered; its events have the id at context.personas.external_audience_id.
	CreateAudience func(ctx context.Context, in AudienceInput) (externalID string, err error)
	GetAudience    func(ctx context.Context, in AudienceInput) (externalID string, err error)
	// Audiences lets members be sent without events; nil where the destination keeps no audiences.
	Audiences *Audiences
	// Sandbox pretends to be the remote; nil where there is none.
	Sandbox *Sandbox

	completedFor *Definition // that has completed it; nil before
}

// RefreshInput is what a Refresh may use.
type RefreshInput struct {
	Client       Client
	Settings     event.Value
	Old          oauth.Token
	ClientID     string
	ClientSecret string
	Now          func() time.Time // the clock, for Token.Expires; never nil
}

// Audiences is what a destination that keeps audiences tells of them.
type Audiences struct {
	// Action changes members.
	Action string
	// Key is the field whose value is the audience's key in events.
	Key string
	// ID is the field whose value is the audience's id at the remote.
	ID string
	// Identifiers are the names of the values that a user is known by, as columns of a file.
	Identifiers []string
	// Identity is the identity, as the ledger keeps it, that such values stand for; ok is false where they name nobody.
	Identity func(value func(identifier string) string) (identity string, ok bool)
	// Payload is the payload of Action that makes one change.
	Payload func(Audience, Change) (event.Value, error)
}

// Sandbox is a remote API's documented behaviour, for running without an account. Several destinations may share one.
type Sandbox struct {
	Name    string // such as braze
	Options []SandboxOption
	// New is a sandbox with fresh state, which it serves at /__sandbox/. Options that are absent make it lenient.
	New func(options map[string][]string) http.Handler
}

// SandboxOption is one way to make a sandbox strict: a flag of the command line that may be given many times.
type SandboxOption struct{ Name, Usage string }

// Load reads and checks the plugin's definition. The error is a fault.Problems. An action that has neither a handler nor a
// request, or both, is a problem too.
func (p Plugin) Load() (*Definition, error) {
	if p.completedFor != nil {
		return p.completedFor, nil
	}
	text, err := fs.ReadFile(p.Definition, DefinitionFile)
	if err != nil {
		return nil, fmt.Errorf("reading the definition: %w", err)
	}
	d, err := ParseDefinition(cmp.Or(p.File, DefinitionFile), text)
	if err != nil {
		return nil, err
	}
	if err := p.checkFolder(d); err != nil {
		return nil, err
	}
	for key := range p.Actions {
		if d.Action(key) == nil {
			return nil, fmt.Errorf("%s: there is a handler for the action %q, which %s does not declare", d.Slug, key, DefinitionFile)
		}
	}
	for _, a := range d.Actions {
		switch _, ok := p.Actions[a.Key]; {
		case ok && a.Request != nil:
			return nil, d.problemAt("/actions"+fault.PointerKey(a.Key)+"/request", "cannot be: there is a handler for the action %q, too", a.Key)
		case !ok && a.Request == nil:
			return nil, d.problemAt("/actions"+fault.PointerKey(a.Key), "has neither a request nor a handler")
		}
	}
	if err := p.checkAudiences(d); err != nil {
		return nil, err
	}
	switch {
	case d.Test != nil && p.Test != nil:
		return nil, d.problemAt("/authentication/test", "cannot be: there is a handler for it, too")
	case d.TestHandler && p.Test == nil:
		return nil, d.problemAt("/authentication/test", "needs a handler, and there is none")
	}
	if err := p.checkHooks(d); err != nil {
		return nil, err
	}
	return d, p.checkChoices(d)
}

// checkChoices refuses choices of what is not in the definition.
func (p Plugin) checkChoices(d *Definition) error {
	for action, fields := range p.Choices {
		a := d.Action(action)
		if a == nil {
			return fmt.Errorf("%s: there are choices for the action %q, which %s does not declare", d.Slug, action, DefinitionFile)
		}
		for key := range fields {
			if a.Choices[key] != nil {
				return d.problemAt("/actions"+fault.PointerKey(action)+"/dynamicFields"+fault.PointerKey(key), "cannot be: there is a handler for it, too")
			}
			if a.Fields.Find(key) == nil {
				return fmt.Errorf("%s: there are choices for the field %q of %s, which %s does not declare", d.Slug, key, action, DefinitionFile)
			}
		}
	}
	return nil
}

// problemAt is one mistake in the definition.
func (d *Definition) problemAt(pointer, format string, args ...any) error {
	return d.Document.Locate(fault.Problems{{Pointer: pointer, Message: fmt.Sprintf(format, args...)}})
}

// Environment looks up what the host holds outside of settings, as os.LookupEnv does.
type Environment func(name string) (value string, ok bool)
