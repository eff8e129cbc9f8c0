package destination

import (
	"context"
	"log/slog"
	"time"

	"github.com/landfall-dev/landfall/framework/destination/pool"
	"github.com/landfall-dev/landfall/framework/event"
)

// Deps is what the host hands to every handler.
type Deps struct {
	Client  Client           // sends requests
	State   State            // what this instance remembers
	Members Members          // who this instance has sent to which audience
	Locks   *Locks           // what the batches of this instance must not do at once
	Env     Environment      // the host's environment
	Now     func() time.Time // the clock
	Log     *slog.Logger     // redacted
}

// Origin is where a call comes from.
type Origin struct {
	Instance     string // its id in the config
	Subscription string // its name in the config
	SyncMode     string // add, update, upsert, delete or mirror; "" where the action has none
	MatchingKey  string // the field that records are matched by; "" where the subscription names none
	Metadata     SubscriptionMetadata
	HookOutputs  event.Value     // what the hooks of the action have given, by their names; without members where none has run
	Features     map[string]bool // flags that the config and the host have set; not to be changed, and false where absent
	Resend       bool            // send also what the ledger says the remote has
}

// SubscriptionMetadata is what is known of a subscription, for remotes that want to be told of it.
type SubscriptionMetadata struct {
	ID          string // from elsewhere, such as an export; "" where the config has none
	Name        string
	Action      string // its key
	Destination string // its slug
	Instance    string // the id of the destination's config
}

// Call is one payload to perform. S and P are the types generated from the definition.
type Call[S, P any] struct {
	Deps
	Origin
	Settings S
	Payload  P
	// Membership is what the event says about an audience.
	Membership func() Membership
}

// BatchCall is a batch of payloads to perform together: they share their batch keys and are in the order in which their
// events were accepted. The slice of payloads is used again when the handler has returned: what is kept must be copied, save for
// texts and Values, which never change.
type BatchCall[S, P any] struct {
	Deps
	Origin
	Settings S
	Payloads []P
	// Membership is what the event behind payload i says about an audience.
	Membership func(i int) Membership
}

// Handler is the code of an action. One of the two is enough: without PerformBatch payloads are performed one by one,
// without Perform a single one is a batch of one.
type Handler[S, P any] struct {
	// Perform delivers one payload. An error that is a *fault.Error keeps its status; others are internal errors.
	Perform func(ctx context.Context, call Call[S, P]) (*Response, error)
	// PerformBatch delivers a batch and says what became of each payload. Where it returns an error too, that is the
	// result of every payload it has not decided. A nil MultiStatus with a nil error means that all were delivered.
	PerformBatch func(ctx context.Context, call BatchCall[S, P]) (*MultiStatus, error)
	// Poll asks what has become of payloads that the other two have left pending, which they may do only where there is one. The
	// results are those of the call's Operations. A retryable error means that it is not known, any other that the operation has
	// failed. It is asked again, ever more seldom, until nothing is pending.
	Poll func(ctx context.Context, call PollCall[S]) (*MultiStatus, error)
}

// Decoder is how generated types read settings and payloads that have passed their schema.
type Decoder[T any] interface {
	*T
	Decode(event.Value)
}

// Action is a Handler whose types are hidden. The zero Action is not valid; use Handle.
type Action struct {
	perform     func(context.Context, Input) (*MultiStatus, error)
	poll        func(context.Context, Input) (*MultiStatus, error) // nil where nothing is pending
	batches     bool
	maxPayloads int // payloads at a time; 0 is no bound
}

// Input is what the runtime hands to an Action. Settings and Payloads have passed their schemas; Events are those behind
// the payloads, index by index.
type Input struct {
	Deps
	Origin
	Settings event.Value
	Payloads []event.Value
	Events   []event.Event

	Operations []string // those that Poll asks for
}

func (in *Input) membershipOf(i int) Membership {
	return MembershipOf(in.Events[i].Value(), in.SyncMode)
}

// Handle hides the types of a handler.
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
			call := BatchCall[S, P]{Deps: in.Deps, Origin: in.Origin, Membership: in.membershipOf}
			DS(&call.Settings).Decode(in.Settings)
			call.Payloads = payloads.Get(len(in.Payloads))
			for i := range in.Payloads {
				DP(&call.Payloads[i]).Decode(in.Payloads[i])
			}
			ms, err := h.PerformBatch(ctx, call)
			payloads.Put(call.Payloads) // not after a panic: who knows what still runs
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
	call := Call[S, P]{Deps: in.Deps, Origin: in.Origin, Membership: func() Membership { return in.membershipOf(0) }}
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

// Batches tells whether the action takes more than one payload at a time.
func (a Action) Batches() bool { return a.batches }

// MaxPayloads is the most payloads that the action takes at a time; 0 is no bound.
func (a Action) MaxPayloads() int { return a.maxPayloads }

// Perform runs the handler. It always gives one result for each payload: what the handler leaves undecided gets its
// error, and a handler that panics or says nothing gives internal errors.
func (a Action) Perform(ctx context.Context, in Input) *MultiStatus {
	return a.checkPending(runHandler(ctx, in, a.perform, len(in.Payloads)))
}
