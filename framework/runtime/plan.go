// Package runtime makes a Plan of a destination, its handlers and an instance's config, and runs events through it:
// subscriptions choose them, mappings make payloads, schemas check these, and handlers deliver them in batches.
//
// Everything is compiled when the plan is made. Running is pure: the package keeps no queue, starts no goroutine and
// retries nothing; who calls it decides that. A Plan is immutable and safe for concurrent use.
package runtime

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/fql"
	"github.com/landfall-dev/landfall/framework/httpx"
	"github.com/landfall-dev/landfall/framework/mapping"
	"github.com/landfall-dev/landfall/framework/oauth"
	"github.com/landfall-dev/landfall/framework/schema"
)

// MaxBatch is the most payloads that a batch may hold, whatever a subscription asks for.
const MaxBatch = 1000

// Plan is one instance of a destination, ready to run.
type Plan struct {
	id            string
	definition    *destination.Definition
	settings      event.Value
	subscriptions []*Subscription // the enabled ones, in the order of the config
	chooser       *chooser
	deps          destination.Deps
	warnings      fault.Problems
	actions       map[string]destination.Action
	audiences     *destination.Audiences
	audienceID    *event.Key // of audiences; nil where there are none
	redact        func(string) string
	tokens        tokens        // nil where no token goes with requests
	login         *oauth.Remote // nil where nobody logs in
	consent       []string      // categories that must not be refused
	choices       map[string]map[string]destination.ChoicesFunc
	features      map[string]bool
	creation      *creation       // nil where the destination creates no audiences
	deletion      []*Subscription // the one that takes deletions of users; none where nothing does
	test          func(ctx context.Context, settings event.Value, deps destination.Deps) error
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
	schema      *schema.Schema
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
func (s *Subscription) Schema() *schema.Schema { return s.schema }

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

// Item is one event on its way through one subscription.
type Item struct {
	Index        int // the caller's own
	Subscription *Subscription
	Event        event.Event
	Payload      event.Value
	BatchKey     string // items of a subscription with equal keys may share a batch
	BatchSize    int    // the most items of its batch; 1 means alone
	BatchBytes   int    // the most bytes of its batch's payloads as JSON; 0 is no bound
	Lane         string // items of a plan with equal lanes go one batch after the other
	Apart        bool   // what goes through other lanes has no bearing on it: an audience is changed
	Barrier      bool   // everything before it is done before it is, and nothing after it begins earlier: a user is deleted

	Operation string // that the remote works on it as, where it has been sent; "" before

	audience *engaged // that has to be created first; nil where there is none
}

// Verdict is what became of one event in one subscription.
type Verdict struct {
	Instance     string
	Subscription string
	Outcome      Outcome
	Status       int    // an HTTP status
	Code         string // where it was not delivered
	Reporter     string // INTEGRATIONS or DESTINATION, where it failed
	Reason       string // why it was not delivered; never holds a secret
	RetryAfter   time.Duration
	Operation    string // that the remote works on it as, where it is pending
	Sent         event.Value
	Body         event.Value
}

// Outcome is what became of an event.
type Outcome string

// The outcomes.
const (
	Delivered Outcome = "delivered" // the remote has it
	Skipped   Outcome = "skipped"   // there was nothing to do: not subscribed, superseded, unchanged
	Refused   Outcome = "refused"   // it can never be delivered as it is
	Retry     Outcome = "retry"     // trying again may deliver it
)

// NotSubscribed is the reason of an event that a subscription does not choose.
const NotSubscribed = "the event does not match the subscription"

// Prepare takes an event through a subscription as far as it goes without the remote: to an item, or to its verdict. An event that
// makes a language panic is refused, so that it ends no process, which would read it again.
func (p *Plan) Prepare(s *Subscription, e event.Event, index int) (item Item, verdict *Verdict) {
	defer func() {
		if r := recover(); r != nil {
			v := p.failed(s, &fault.Error{Code: fault.CodeInternal, Status: http.StatusInternalServerError,
				Message: fmt.Sprintf("taking the event through the subscription panicked: %v", r)}, fault.ReporterIntegrations)
			item, verdict = Item{}, &v
		}
	}()
	if !s.query.Match(e.Value()) {
		v := p.notSubscribed(s)
		return Item{}, &v
	}
	if reason := p.leftOut(s, e.Value()); reason != "" {
		return Item{}, &Verdict{Instance: p.id, Subscription: s.name, Outcome: Skipped, Status: http.StatusOK, Reason: reason}
	}
	what, audience := e.Value(), (*engaged)(nil)
	if p.creation != nil {
		what, audience = p.creation.enrich(what)
	}
	payload, err := s.mapping.Resolve(what)
	if err != nil {
		v := p.failed(s, fault.As(err), fault.ReporterIntegrations)
		return Item{}, &v
	}
	item, verdict = p.Item(s, payload, index)
	item.Event, item.audience = e, audience
	return item, verdict
}

// notSubscribed is the verdict of an event that a subscription does not choose.
func (p *Plan) notSubscribed(s *Subscription) Verdict {
	return Verdict{
		Instance: p.id, Subscription: s.name, Outcome: Skipped, Status: http.StatusBadRequest,
		Code: fault.CodeInvalidPayload, Reporter: fault.ReporterIntegrations, Reason: NotSubscribed,
	}
}

// Choose appends the subscriptions that an event is offered to and that may choose it, in their order. The others do not: Prepare
// would say so.
func (p *Plan) Choose(e event.Event, chosen []*Subscription) []*Subscription {
	if p.deletes(e) {
		return append(chosen, p.deletion...)
	}
	var buffer [64]int
	places := buffer[:0]
	p.chooser.choose(e.Value(), func(at int) { places = append(places, at) })
	slices.Sort(places)
	for _, at := range places {
		chosen = append(chosen, p.subscriptions[at])
	}
	return chosen
}

// lane is the audience that a payload changes, so that one request is under way for it, whichever subscription it comes from;
// else the subscription and the batch key.
func (p *Plan) lane(s *Subscription, payload event.Value, batchKey string) (lane string, apart bool) {
	if p.audiences != nil && p.audiences.Action == s.action.Key {
		return p.audienceID.Of(payload).Text(), p.deletion == nil
	}
	return s.name + "\x00" + batchKey, false
}

// failed is the verdict of an error.
func (p *Plan) failed(s *Subscription, e *fault.Error, reporter string) Verdict {
	v := Verdict{
		Instance: p.id, Subscription: s.name, Outcome: Refused, Status: e.Status, Code: e.Code,
		Reporter: reporter, Reason: e.Error(), RetryAfter: e.RetryAfter,
	}
	if v.Status == 0 {
		v.Status = http.StatusInternalServerError
	}
	if e.Retry {
		v.Outcome = Retry
	}
	return v
}

// maxDivisions bounds the requests that look for what a remote cannot take.
const maxDivisions = 64

// Deliver hands a batch to its handler. The items share their subscription and batch key. The verdicts are index by index. A
// batch that is refused whole is halved where its action says so, until what the remote cannot take is alone.
func (p *Plan) Deliver(ctx context.Context, items []Item) []Verdict {
	if len(items) == 0 {
		return nil
	}
	verdicts := make([]Verdict, len(items))
	p.deliverTo(ctx, items, func(i int) *Verdict { return &verdicts[i] })
	return verdicts
}

// deliverTo is Deliver that puts the verdict of item i where slot says.
func (p *Plan) deliverTo(ctx context.Context, items []Item, slot func(i int) *Verdict) {
	if p.creation != nil {
		p.deliverAudiences(ctx, items, slot)
		return
	}
	divisions := maxDivisions
	p.isolate(ctx, items, slot, &divisions)
}

func (p *Plan) isolate(ctx context.Context, items []Item, slot func(i int) *Verdict, divisions *int) {
	s := items[0].Subscription
	if s.handler.Polls() {
		p.deliverAsync(ctx, items, slot)
		return
	}
	p.send(ctx, items, slot)
	if len(items) == 1 || !s.action.Isolate || *divisions == 0 {
		return
	}
	for i := range items {
		if v := slot(i); v.Outcome != Refused || v.Status != http.StatusBadRequest {
			return
		}
	}
	*divisions--
	half := len(items) / 2
	p.isolate(ctx, items[:half], slot, divisions)
	p.isolate(ctx, items[half:], func(i int) *Verdict { return slot(half + i) }, divisions)
}

// send calls the handler with items, and puts down what became of each.
func (p *Plan) send(ctx context.Context, items []Item, slot func(i int) *Verdict) {
	s, done := items[0].Subscription, 0
	origin, err := p.originOf(ctx, s)
	if err != nil {
		p.allFailed(items, err, slot)
		return
	}
	for _, part := range s.parts(items) {
		in := destination.Input{
			Deps: p.deps, Settings: p.settings,
			Origin:   origin,
			Payloads: make([]event.Value, len(part)), Events: make([]event.Event, len(part)),
		}
		for i := range part {
			in.Payloads[i], in.Events[i] = part[i].Payload, part[i].Event
		}
		results := p.call(ctx, s, in)
		for i := range part {
			p.verdict(slot(done+i), s, part[i].Payload, results.Result(i))
		}
		done += len(part)
	}
}

// origin is where the calls of a subscription come from.
func (p *Plan) origin(s *Subscription) destination.Origin {
	return destination.Origin{
		Instance: p.id, Subscription: s.name, SyncMode: s.syncMode, MatchingKey: s.matchingKey, Metadata: s.metadata,
		Features: p.features, Resend: s.resend,
	}
}

// redacted is what a handler shows of a request or an answer, without secrets that the remote may have repeated.
func (p *Plan) redacted(v event.Value) event.Value {
	if v.Kind() < event.String {
		return v
	}
	text := v.JSON()
	clean := p.redact(text)
	if clean == text {
		return v
	}
	shown, err := event.ParseString(clean)
	if err != nil {
		return event.NewString(httpx.Hidden)
	}
	return shown
}

// allFailed gives every item an error as its verdict.
func (p *Plan) allFailed(items []Item, err error, slot func(i int) *Verdict) {
	for i := range items {
		*slot(i) = p.failed(items[i].Subscription, fault.As(err), fault.ReporterIntegrations)
	}
}

// parts divides items into what the handler takes at once.
func (s *Subscription) parts(items []Item) [][]Item {
	if s.handler.Batches() && items[0].BatchSize > 1 {
		return [][]Item{items}
	}
	parts := make([][]Item, len(items))
	for i := range items {
		parts[i] = items[i : i+1]
	}
	return parts
}

// verdict fills in what became of a payload.
func (p *Plan) verdict(v *Verdict, s *Subscription, payload event.Value, r destination.Result) {
	sent, body := p.redacted(r.Sent), p.redacted(r.Body)
	if sent.Kind() == event.Absent {
		sent = payload
	}
	switch r.Outcome {
	case destination.Delivered:
		*v = Verdict{Instance: p.id, Subscription: s.name, Outcome: Delivered, Status: r.Status, Sent: sent, Body: body}
	case destination.Skipped:
		*v = Verdict{Instance: p.id, Subscription: s.name, Outcome: Skipped, Status: r.Status, Reason: r.Reason, Sent: sent, Body: body}
	case destination.Pending:
		*v = Verdict{Instance: p.id, Subscription: s.name, Outcome: Pending, Status: r.Status, Operation: r.Operation, Sent: sent, Body: body,
			Reason: "the destination works on it as the operation " + r.Operation}
	default:
		reporter := fault.ReporterDestination
		if r.Err.Code == fault.CodeInvalidPayload {
			reporter = fault.ReporterIntegrations
		}
		*v = p.failed(s, r.Err, reporter)
		v.Sent, v.Body, v.Reason = sent, body, p.redact(v.Reason)
	}
}
