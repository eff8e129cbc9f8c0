package destination

import (
	"context"
	"log/slog"
	"time"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/internal/pool"
)

// Deps is what the host provides to every handler.
type Deps struct {
	Client  Client           // sends requests
	State   State            // durable key-value data of this instance
	Members Members          // the ledger of audience members
	Locks   *Locks           // serializes batches of this instance
	Env     Environment      // the host's environment
	Now     func() time.Time // the clock
	Log     *slog.Logger     // redacts secrets
	Opened  Opened           // what Plugin.Open returned; nil if the plugin has none
}

// Origin describes the subscription that a call comes from.
type Origin struct {
	Instance     string // the instance's id in the config
	Subscription string // the subscription's name in the config
	SyncMode     string // add, update, upsert, delete or mirror; "" if the action has no sync mode
	MatchingKey  string // the field that records are matched by; "" if the subscription has none
	Metadata     SubscriptionMetadata
	HookOutputs  event.Value     // outputs of the action's hooks by hook name; {} if none has run
	Features     map[string]bool // flags of the config and the host; read-only
	Resend       bool            // send members even if the ledger says that the remote has them
	Mapping      event.Value     // the subscription's mapping, with the defaults of its fields; absent unless the action reads it
}

// SubscriptionMetadata describes a subscription, for remotes that want to know it.
type SubscriptionMetadata struct {
	ID          string // an external id, for example from an export; "" if the config has none
	Name        string
	Action      string // action key
	Destination string // destination slug
	Instance    string // id of the instance in the config
}

// Call is one payload to perform. S and P are the types generated from the definition.
type Call[S, P any] struct {
	Deps
	Origin
	Settings S
	Payload  P
	// Event is the event as it was received; absent unless the action reads it.
	Event event.Value
	// Membership returns what the event says about an audience.
	Membership func() Membership
}

// BatchCall is a batch of payloads with equal batch keys, in the order in which their events were accepted. The slice of
// payloads is reused after the handler returns: copy what you keep. Strings and Values are immutable and may be kept.
type BatchCall[S, P any] struct {
	Deps
	Origin
	Settings S
	Payloads []P
	// Event returns the event of payload i as it was received; absent unless the action reads it.
	Event func(i int) event.Value
	// Membership returns what the event of payload i says about an audience.
	Membership func(i int) Membership
}

// Handler is the code of an action. It needs Perform or PerformBatch. Without PerformBatch, payloads are performed one by one;
// without Perform, a single payload is a batch of one.
type Handler[S, P any] struct {
	// Perform delivers one payload. An error that is a *fault.Error keeps its status; any other is an internal error.
	Perform func(ctx context.Context, call Call[S, P]) (*Response, error)
	// PerformBatch delivers a batch and returns one result for each payload. An error is the result of every payload that has
	// none. A nil MultiStatus with a nil error means that all payloads were delivered.
	PerformBatch func(ctx context.Context, call BatchCall[S, P]) (*MultiStatus, error)
	// Poll returns the results of the call's Operations, which Perform or PerformBatch left pending; without Poll they must
	// not. After a retryable error the state is unknown and Poll is called again; any other error means that the operation
	// failed. Pending operations are polled at increasing intervals.
	Poll func(ctx context.Context, call PollCall[S]) (*MultiStatus, error)
}

// Decoder is implemented by the generated types of settings and payloads. The decoded value has passed its schema.
type Decoder[T any] interface {
	*T
	Decode(event.Value)
}

// Action is a Handler without its type parameters. The zero Action is not valid; use Handle.
type Action struct {
	perform     func(context.Context, Input) (*MultiStatus, error)
	poll        func(context.Context, Input) (*MultiStatus, error) // nil if the handler has no Poll
	batches     bool
	maxPayloads int // per call; 0 means unlimited
}

// Input is what the runtime passes to an Action. Settings and Payloads have passed their schemas. Events has the event of each
// payload by index.
type Input struct {
	Deps
	Origin
	Settings event.Value
	Payloads []event.Value
	Events   []event.Event
	// Batched reports whether the payloads are a batch, which may hold only one, rather than a single event by itself.
	Batched bool
	// ReadsEvents reports whether the handler gets the events, not only their payloads.
	ReadsEvents bool

	Operations []string // for Poll
}

func (in *Input) membershipOf(i int) Membership {
	return MembershipOf(in.Events[i].Value(), in.SyncMode)
}

// eventOf returns the event of payload i if the handler gets it; otherwise an absent value.
func (in *Input) eventOf(i int) event.Value {
	if !in.ReadsEvents || i >= len(in.Events) {
		return event.Value{}
	}
	return in.Events[i].Value()
}

// Handle returns the Action of a handler.
func Handle[S, P any, DS Decoder[S], DP Decoder[P]](h Handler[S, P]) Action {
	a := newAction[S, P, DS, DP](h)
	if h.Poll != nil {
		a.poll = func(ctx context.Context, in Input) (*MultiStatus, error) {
			call := PollCall[S]{Deps: in.Deps, Origin: in.Origin, Operations: in.Operations}
			DS(&call.Settings).Decode(in.Settings)
			return h.Poll(ctx, call)
		}
	}
	return a
}

func newAction[S, P any, DS Decoder[S], DP Decoder[P]](h Handler[S, P]) Action {
	switch {
	case h.PerformBatch != nil:
		payloads := &pool.Slice[P]{}
		return Action{batches: true, perform: func(ctx context.Context, in Input) (*MultiStatus, error) {
			if len(in.Payloads) == 1 && h.Perform != nil {
				return performOne[S, P, DS, DP](ctx, h, in)
			}
			call := BatchCall[S, P]{Deps: in.Deps, Origin: in.Origin, Membership: in.membershipOf, Event: in.eventOf}
			DS(&call.Settings).Decode(in.Settings)
			call.Payloads = payloads.Get(len(in.Payloads))
			for i := range in.Payloads {
				DP(&call.Payloads[i]).Decode(in.Payloads[i])
			}
			ms, err := h.PerformBatch(ctx, call)
			payloads.Put(call.Payloads) // not after a panic: goroutines of the handler may still use it
			return ms, err
		}}
	case h.Perform != nil:
		return Action{perform: func(ctx context.Context, in Input) (*MultiStatus, error) {
			return performOne[S, P, DS, DP](ctx, h, in)
		}}
	}
	panic("destination: a Handler needs Perform or PerformBatch")
}

func performOne[S, P any, DS Decoder[S], DP Decoder[P]](ctx context.Context, h Handler[S, P], in Input) (*MultiStatus, error) {
	call := Call[S, P]{Deps: in.Deps, Origin: in.Origin, Event: in.eventOf(0), Membership: func() Membership { return in.membershipOf(0) }}
	DS(&call.Settings).Decode(in.Settings)
	DP(&call.Payload).Decode(in.Payloads[0])
	ms := NewMultiStatus(1)
	response, err := h.Perform(ctx, call)
	switch {
	case err != nil:
		ms.Fail(0, err)
	case response == nil:
		ms.Deliver(0)
	case response.Skipped != "":
		ms.Skip(0, response.Skipped)
	case response.Operation != "":
		ms.Set(0, Result{Outcome: Pending, Status: response.Status, Body: response.Body, Operation: response.Operation})
	default:
		ms.Set(0, Result{Outcome: Delivered, Status: response.Status, Body: response.Body})
	}
	return ms, nil
}

// Batches reports whether the action takes more than one payload at a time.
func (a Action) Batches() bool { return a.batches }

// MaxPayloads returns how many payloads the action takes at a time; 0 means unlimited.
func (a Action) MaxPayloads() int { return a.maxPayloads }

// Perform runs the handler and returns one result for each payload. A payload that the handler leaves undecided gets the
// handler's error. If the handler panics or returns neither results nor an error, the results are internal errors.
func (a Action) Perform(ctx context.Context, in Input) *MultiStatus {
	return a.checkPending(runHandler(ctx, in, a.perform, len(in.Payloads)))
}
