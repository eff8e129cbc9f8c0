// Package runtime makes a Plan of a destination, its handlers and an instance's config, and runs events through it:
// subscriptions choose them, mappings make payloads, schemas check these, and handlers deliver them in batches.
//
// Everything is compiled when the plan is made. Running is pure: the package keeps no queue, starts no goroutine and
// retries nothing; who calls it decides that. A Plan is immutable and safe for concurrent use.
package runtime

import (
	"context"
	"sync/atomic"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/destination/httpx"
	"github.com/landfall-dev/landfall/framework/destination/oauth"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/language/fieldschema"
	"github.com/landfall-dev/landfall/framework/language/fql"
	"github.com/landfall-dev/landfall/framework/language/mapping"
)

// MaxBatch is the most payloads of a batch unless the definition of the action raises it.
const MaxBatch = destination.DefaultBatchSize

// Plan is one instance of a destination, ready to run.
type Plan struct {
	id              string
	definition      *destination.Definition
	settings        event.Value
	subscriptions   []*Subscription // the enabled ones, in the order of the config
	chooser         *chooser
	deps            destination.Deps
	limiter         *httpx.Limiter // of the requests
	tokenLimiter    *httpx.Limiter // of the plugin's requests for tokens
	warnings        fault.Problems
	actions         map[string]destination.Action
	audiences       *destination.Audiences
	audienceID      *event.Key // of audiences; nil where there are none
	redact          func(string) string
	tokens          tokens        // nil where no token goes with requests
	login           *oauth.Remote // nil where nobody logs in
	consent         []string      // categories that must not be refused
	names           []string      // of the destination, in an event's integrations
	choices         map[string]map[string]destination.ChoicesFunc
	features        map[string]bool
	audienceCreator *audienceCreator // nil if the destination creates no audiences
	deletion        []*Subscription  // the one that takes deletions of users; none where nothing does
	test            func(ctx context.Context, settings event.Value, deps destination.Deps) error
}

// Subscription is a compiled subscription of a plan.
type Subscription struct {
	name        string
	syncMode    string
	matchingKey string
	hooks       []*hook
	metadata    destination.SubscriptionMetadata
	action      *destination.ActionDefinition
	handler     destination.Action
	query       *fql.Query
	mapping     *mapping.Mapping
	schema      *fieldschema.Schema
	written     *httpx.ConfiguredURLs // in the mapping
	resend      bool
	sample      float64 // the share of events that it gets
	deletes     bool    // it takes deletions of users
	reserved    reserved
	names       atomic.Pointer[batchNames] // of the last payload
	lastKey     atomic.Pointer[string]     // a batch key like that of the last payload need not be made again
}

// Name is the subscription's name in the config.
func (s *Subscription) Name() string { return s.name }

// Action is the definition of the subscription's action.
func (s *Subscription) Action() *destination.ActionDefinition { return s.action }

// Query is what chooses the subscription's events.
func (s *Subscription) Query() *fql.Query { return s.query }

// Mapping is what makes the subscription's payloads: the fields' defaults and the config's mapping over them.
func (s *Subscription) Mapping() *mapping.Mapping { return s.mapping }

// Schema is what the subscription's payloads must satisfy.
func (s *Subscription) Schema() *fieldschema.Schema { return s.schema }

// ID is the instance's id in the config.
func (p *Plan) ID() string { return p.id }

// Definition is the instance's destination.
func (p *Plan) Definition() *destination.Definition { return p.definition }

// Subscriptions are the enabled subscriptions in the order of the config.
func (p *Plan) Subscriptions() []*Subscription { return p.subscriptions }

// Warnings are what may be meant otherwise in the instance's config, with JSON pointers into the file.
func (p *Plan) Warnings() fault.Problems { return p.warnings }

// Members is the plan's ledger of audience members.
func (p *Plan) Members() destination.Members { return p.deps.Members }

// Test asks the remote whether the settings are good. It is nil where the destination cannot ask.
func (p *Plan) Test(ctx context.Context) error {
	if p.test == nil {
		return nil
	}
	return p.test(ctx, p.settings, p.deps)
}
