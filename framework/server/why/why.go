// Package why answers why a user is missing at a destination, or is there: from the log of accepted events, the events that were rejected
// when they were received, the recorded verdicts, the dead letters, the ledger, and what operators changed.
//
// [Source.Ask] returns a [Report] with one sentence as the answer and a timeline of what led to it. What is not recorded, such as which
// condition of a subscription an event did not meet, is computed again with the current config, and marked as such. The package changes
// nothing and sends nothing. A Source is safe for concurrent use.
package why

import (
	"context"
	"errors"
	"time"

	"github.com/landfall-dev/landfall/framework/delivery"
	"github.com/landfall-dev/landfall/framework/destination/httpx"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/runtime/instances"
	"github.com/landfall-dev/landfall/framework/server/history"
	"github.com/landfall-dev/landfall/framework/state"
)

// Source is where answers come from.
type Source struct {
	Queue *delivery.Queue
	Store *state.Store
	// Status returns the delivery status of the instances; nil without a running server.
	Status func() []delivery.Status
	// Instances returns the enabled instances of the current config, with plans that send nothing and pass their requests to observe, and
	// with their ledgers.
	Instances func(observe func(httpx.Exchange)) ([]instances.Instance, error)
	// Remotes returns the instances whose transports lead to sandboxes, which can be asked which users they know; nil for real remotes.
	Remotes func() []instances.Instance
	Flush   func(context.Context) // writes what is recorded and not written yet; may be nil
	Now     func() time.Time      // time.Now by default
}

// Question is what to answer.
type Question struct {
	User     string `json:"user"`               // any identifier of the user
	Audience string `json:"audience,omitempty"` // its id, key or name; "" for all
	Instance string `json:"instance,omitempty"` // "" for all
}

// ErrNoUser means that a Question has no user.
var ErrNoUser = errors.New("give a user: a user id, an anonymous id, an e-mail address, a device id or an alias")

// Reason is the answer, for programs.
type Reason string

func (r Reason) is(other Reason) bool { return r == other }

// The reasons.
const (
	Member           Reason = "member"            // nothing is missing: the remote has accepted the user
	UnknownToRemote  Reason = "unknown_to_remote" // the remote has accepted the user, but does not know them
	NeverArrived     Reason = "never_arrived"     // no event of the user was received
	Rejected         Reason = "rejected"          // the events were rejected when they were received
	NotSubscribed    Reason = "not_subscribed"    // no subscription matches the events
	Filtered         Reason = "filtered"          // consent, integrations, sampling or the source leave the events out
	Refused          Reason = "refused"           // the mapping or the schema refused the event
	RefusedByRemote  Reason = "refused_by_remote"
	Superseded       Reason = "superseded"      // by a newer event
	Left             Reason = "left"            // the newest event is an exit
	Purged           Reason = "purged"          // an operator emptied the audience
	Synced           Reason = "synced"          // an operator decided with a file, or sent the audience again
	Parked           Reason = "parked"          // it failed for too long, or waits behind such an event
	Paused           Reason = "paused"          // the remote asked to wait, or an operator must act
	Waiting          Reason = "waiting"         // it has not been delivered yet
	Dropped          Reason = "dropped"         // an operator deleted the dead letter, or it expired
	Duplicate        Reason = "duplicate"       // its messageId was accepted before
	BeforeInstance   Reason = "before_instance" // it was accepted before the instance was added
	BeforeChange     Reason = "before_change"   // it was processed with an earlier config
	NoInstance       Reason = "no_instance"     // the config has no enabled instance
	Delivered        Reason = "delivered"       // the event was delivered to a destination without audiences
	NotKept          Reason = "not_kept"        // the verdict is no longer kept
	SkippedForReason Reason = "skipped"         // another cause, which the text names
)

// Answer is the answer to a Question.
type Answer struct {
	Reason     Reason      `json:"reason"`
	Cause      fault.Cause `json:"cause,omitempty"`
	Text       string      `json:"text"`           // one sentence
	Next       string      `json:"next,omitempty"` // what to do; "" if nothing
	Recomputed bool        `json:"recomputed"`     // it was computed with the current config, since no record of it exists
}

// Report is an Answer with what led to it.
type Report struct {
	Question
	Answer      Answer     `json:"answer"`
	Identifiers []string   `json:"identifiers"` // all identifiers that the user's events have
	Standings   []Standing `json:"audiences"`   // what the ledger has
	Timeline    []Entry    `json:"timeline"`    // oldest first
	Searched    Searched   `json:"searched"`
	Problems    []string   `json:"problems,omitempty"` // what could not be read, so that the answer may be wrong
}

// Searched says how much of the log was searched.
type Searched struct {
	From     time.Time `json:"from,omitzero"` // zero if the log is empty
	Complete bool      `json:"complete"`      // the whole log
	Events   int       `json:"events"`        // how many events of the user were found
}

// Standing is what the ledger has about the user in one audience.
type Standing struct {
	Instance  string    `json:"instance"`
	Audience  string    `json:"audience"`
	Name      string    `json:"name"`
	Identity  string    `json:"identity"`
	Known     bool      `json:"known"` // a change was delivered
	Member    bool      `json:"member"`
	Uncertain bool      `json:"uncertain"`
	At        time.Time `json:"at,omitzero"`        // of the event, or of the operator's change, that decided it
	Delivered time.Time `json:"delivered,omitzero"` // when the remote accepted it
	Purged    time.Time `json:"purged,omitzero"`    // when the audience was last emptied

	history []state.HistoryEntry
}

// Kind is the kind of an Entry.
type Kind string

// The kinds of entries.
const (
	KindAccepted   Kind = "accepted"
	KindRejected   Kind = "rejected"
	KindReplayed   Kind = "replayed"
	KindNotMatched Kind = "not matched"
	KindMapped     Kind = "mapped"
	KindVerdict    Kind = "verdict" // Outcome says which
	KindDead       Kind = "dead letter"
	KindLedger     Kind = "ledger"
	KindOperator   Kind = "operator"
	KindConfig     Kind = "config"
	KindWaiting    Kind = "waiting"
)

// Entry is one entry of the timeline.
type Entry struct {
	At           time.Time         `json:"at"`
	Kind         Kind              `json:"kind"`
	Outcome      string            `json:"outcome,omitempty"` // delivered, skipped, dead, parked, dropped or refused
	Instance     string            `json:"instance,omitempty"`
	Subscription string            `json:"subscription,omitempty"`
	Audience     string            `json:"audience,omitempty"`
	Text         string            `json:"text"`
	Cause        fault.Cause       `json:"cause,omitempty"`
	Event        *history.Position `json:"event,omitempty"`
	SupersededBy *history.Position `json:"supersededBy,omitempty"`
	Conditions   string            `json:"conditions,omitempty"` // the query as a tree, one condition a line
	DeadLetter   string            `json:"letter,omitempty"`     // the id of a dead letter
	Batch        *Batch            `json:"batch,omitempty"`
	Recomputed   bool              `json:"recomputed,omitempty"`

	order int // of entries with the same time
}

// Batch is the batch that an event was sent in.
type Batch struct {
	ID           string               `json:"id,omitempty"`
	At           time.Time            `json:"at,omitzero"`
	Milliseconds int64                `json:"milliseconds,omitempty"`
	Events       int                  `json:"events"`
	Requests     []*delivery.Exchange `json:"requests,omitempty"` // without secrets, with long bodies truncated
	Partial      bool                 `json:"partial,omitempty"`  // there were more requests
}

// Ask answers a question.
func (s *Source) Ask(ctx context.Context, q Question) (*Report, error) {
	if q.User == "" {
		return nil, ErrNoUser
	}
	if s.Flush != nil {
		s.Flush(ctx)
	}
	f := &facts{source: s, question: q, now: time.Now()}
	if s.Now != nil {
		f.now = s.Now()
	}
	if err := f.gather(ctx); err != nil {
		return nil, err
	}
	report := &Report{
		Question: q, Identifiers: f.owner.list(), Standings: f.standings, Searched: f.searched, Problems: f.problems,
	}
	groups := f.groups()
	report.Answer = f.answer(groups)
	report.Timeline = f.timeline(groups)
	return report, nil
}
