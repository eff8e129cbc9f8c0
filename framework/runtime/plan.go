// Package runtime compiles a destination, its handlers and an instance's config into a Plan, and processes events with it:
// subscriptions select events, mappings make payloads, schemas check them, and handlers deliver them in batches.
//
// A program gets the plans of a config from [Load], with a [Host] for each instance: its transport, state and members. [Plan.RunBatch]
// processes events and returns a [Verdict] for each subscription. A program with a queue of its own takes the two steps apart:
// [Plan.Prepare] makes an [Item] of an event, and [Plan.Deliver] sends a batch of items; package runtime/tasks connects them with a
// dispatcher. Package runtime/instances provides the hosts as landfall does.
//
// Everything is compiled when the plan is made. The package has no queue, starts no goroutine and retries nothing: that is up to the
// caller, to which each event's Verdict says whether a retry may succeed. A Plan is immutable and safe for concurrent use.
package runtime

import (
	"context"
	"errors"
	"sync/atomic"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/destination/httpx"
	"github.com/landfall-dev/landfall/framework/destination/oauth"
	"github.com/landfall-dev/landfall/framework/dispatch/budget"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/language/fieldschema"
	"github.com/landfall-dev/landfall/framework/language/fql"
	"github.com/landfall-dev/landfall/framework/language/mapping"
)

// MaxBatch is the maximum number of payloads in a batch, unless the definition of the action raises it.
const MaxBatch = destination.DefaultBatchSize

// Plan is a compiled instance of a destination.
type Plan struct {
	id              string
	definition      *destination.Definition
	settings        event.Value
	subscriptions   []*Subscription // the enabled ones, in the order of the config
	chooser         *chooser
	deps            destination.Deps
	opening         *opening       // what handlers share; nil if the destination opens nothing
	gate            *budget.Gate   // of the requests; may be nil
	limiter         *httpx.Limiter // of the requests
	tokenLimiter    *httpx.Limiter // of the plugin's requests for tokens
	warnings        fault.Problems
	actions         map[string]destination.Action
	audiences       *destination.Audiences
	audienceID      *event.Key // of audiences; nil if the destination has none
	redact          func(string) string
	tokens          tokens        // nil if requests have no token
	login           *oauth.Remote // nil if the instance needs no login
	consent         []string      // consent categories that a user must not have refused
	integrations    *integrationSwitch
	choices         map[string]map[string]destination.ChoicesFunc
	features        map[string]bool
	audienceCreator *audienceCreator // nil if the destination creates no audiences
	deletion        []*Subscription  // the subscription that deletes users; empty if the destination cannot
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
	sample      float64 // the fraction of events that it receives
	deletes     bool    // it receives deletions of users
	reserved    reserved
	batches     bool                       // it may send several payloads in a request
	names       atomic.Pointer[batchNames] // of the previous payload
	lastKey     atomic.Pointer[string]     // the previous batch key, used again if the next is equal
}

// Name returns the subscription's name in the config.
func (s *Subscription) Name() string { return s.name }

// Action returns the definition of the subscription's action.
func (s *Subscription) Action() *destination.ActionDefinition { return s.action }

// Query returns the query that selects the subscription's events.
func (s *Subscription) Query() *fql.Query { return s.query }

// Mapping returns the subscription's mapping: the fields' defaults, overridden by the config's mapping.
func (s *Subscription) Mapping() *mapping.Mapping { return s.mapping }

// Schema returns the schema that the subscription's payloads must satisfy.
func (s *Subscription) Schema() *fieldschema.Schema { return s.schema }

// Membership returns what an event says about the user's membership in an audience, by the subscription's sync mode.
func (s *Subscription) Membership(e event.Value) destination.Membership {
	return destination.MembershipOf(e, s.syncMode)
}

// ID returns the instance's id in the config.
func (p *Plan) ID() string { return p.id }

// Gate returns what the instance's requests go through; nil if nothing limits them.
func (p *Plan) Gate() *budget.Gate { return p.gate }

// Definition returns the definition of the instance's destination.
func (p *Plan) Definition() *destination.Definition { return p.definition }

// Subscriptions returns the enabled subscriptions in the order of the config.
func (p *Plan) Subscriptions() []*Subscription { return p.subscriptions }

// Warnings returns probable mistakes in the instance's config, with JSON pointers into the file.
func (p *Plan) Warnings() fault.Problems { return p.warnings }

// Members returns the plan's ledger of audience members.
func (p *Plan) Members() destination.Members { return p.deps.Members }

// ErrNotTested is returned by Plan.Test if the destination has no request that checks its settings.
var ErrNotTested = errors.New("not tested: this destination has no test of its credentials")

// Test checks the settings with a request to the remote. Nil means that the remote accepts them.
func (p *Plan) Test(ctx context.Context) error {
	if p.test == nil {
		return ErrNotTested
	}
	deps, release, err := p.openDeps(ctx)
	if err != nil {
		return err
	}
	defer release()
	return p.test(ctx, p.settings, deps)
}
