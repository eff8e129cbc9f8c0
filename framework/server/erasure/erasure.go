// Package erasure erases users: it takes them out of audiences, deletes them at destinations, and removes their data from the log, the ledgers,
// the dead letters and the history.
//
// A [Desk] stores the erasures that are asked for in the state. Every server that shares the state has a [Watcher], which tells delivery whose events are not to be
// sent or stored again, and an [Eraser], one of which carries the erasures out, step by step. Every step can be repeated, so that a process may
// end at any time. What is left of an erasure is its [Receipt]. The identifiers are encrypted with state.key until it is done; then only their
// hashes are left. The functions are safe for concurrent use.
package erasure

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/landfall-dev/landfall/framework/destination/oauth"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/event/identifier"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/runtime/config"
	"github.com/landfall-dev/landfall/framework/runtime/instances"
	"github.com/landfall-dev/landfall/framework/state"
	"github.com/landfall-dev/landfall/internal/storedtime"
)

// Limits of requests.
const (
	maxIdentifiers = 50       // of a user
	maxIdentifier  = 64 << 10 // bytes, more than an event has
	maxPending     = 10_000   // erasures that are not done
	MaxUsers       = 1000     // of a request
)

// DefaultRetention is how long receipts are kept by default.
const DefaultRetention = 3 * 365 * 24 * time.Hour

// User is a user to erase.
type User struct {
	Identifiers  []string `json:"identifiers"`            // userIds, e-mail addresses and others
	AnonymousIDs []string `json:"anonymousIds,omitempty"` // those that destinations know as anonymous ids
}

// all returns all identifiers.
func (u *User) all() []string { return slices.Concat(u.Identifiers, u.AnonymousIDs) }

// normalize trims the identifiers and removes duplicates.
func (u *User) normalize() error {
	clean := func(list []string) []string {
		var made []string
		for _, id := range list {
			if id = strings.TrimSpace(id); id != "" && !slices.Contains(made, id) {
				made = append(made, id)
			}
		}
		return made
	}
	u.Identifiers, u.AnonymousIDs = clean(u.Identifiers), clean(u.AnonymousIDs)
	switch all := u.all(); {
	case len(all) == 0:
		return &OrderError{"a user has no identifier: name each user by at least one"}
	case len(all) > maxIdentifiers:
		return &OrderError{fmt.Sprintf("a user has %d identifiers, and at most %d are allowed", len(all), maxIdentifiers)}
	case slices.ContainsFunc(all, func(id string) bool { return len(id) > maxIdentifier }):
		return &OrderError{fmt.Sprintf("an identifier is longer than %d bytes", maxIdentifier)}
	}
	return nil
}

// OrderError says what is wrong with an Order.
type OrderError struct{ Reason string }

func (e *OrderError) Error() string { return e.Reason }

// ErrTooMany means that too many erasures wait.
var ErrTooMany = fmt.Errorf("more than %d erasures wait: try again when landfall erase list --pending shows fewer", maxPending)

// Order asks for erasures.
type Order struct {
	Users    []User
	Suppress bool   // also refuse the users' events from now on
	By       string // who asks, without personal data of the users
}

// UserOf returns the user of an event of type delete: all identifiers except those of its device, which others may use.
func UserOf(v event.Value) User {
	var u User
	device := v.Get("context").Get("device")
	known := []string{device.Get("id").Text(), device.Get("advertisingId").Text(), device.Get("token").Text(), v.Get("anonymousId").Text()}
	for _, id := range identifier.Of(v) {
		if !slices.Contains(known, id) && len(u.Identifiers) < maxIdentifiers-1 {
			u.Identifiers = append(u.Identifiers, id)
		}
	}
	if id := v.Get("anonymousId").Text(); id != "" {
		u.AnonymousIDs = []string{id}
	}
	return u
}

// Desk takes orders and shows receipts.
type Desk struct {
	Store  *state.Store
	Config func() *config.Config // in effect
}

// keys returns what hashes identifiers and what encrypts orders.
func (d Desk) keys() (key identifier.Key, box *oauth.Box, err error) {
	cfg := d.Config()
	if key, err = instances.IdentifierKey(cfg); err != nil {
		return key, nil, err
	}
	if box, err = oauth.NewBox(cfg.StateKey); err != nil {
		err = fmt.Errorf("state.key %w", err)
	}
	return key, box, err
}

// Check returns the error that Request would return for users, before anything is stored.
func (d Desk) Check(users []User) error {
	if _, _, err := d.keys(); err != nil {
		return err
	}
	for _, u := range users {
		if err := u.normalize(); err != nil {
			return err
		}
	}
	return nil
}

// Request stores an erasure for each user of an order, all or none. The error is an *OrderError if the order is wrong.
func (d Desk) Request(ctx context.Context, order Order) ([]Receipt, error) {
	store := d.Store
	key, box, err := d.keys()
	if err != nil {
		return nil, err
	}
	if n := len(order.Users); n == 0 || n > MaxUsers {
		return nil, &OrderError{fmt.Sprintf("a request should name 1 to %d users but names %d", MaxUsers, n)}
	}
	now := time.Now().UTC()
	var receipts []Receipt
	var list []state.Erasure
	var suppressed []state.Suppressed
	for i := range order.Users {
		u := order.Users[i]
		if err := u.normalize(); err != nil {
			return nil, err
		}
		r := order.newReceipt(&u, key, now)
		for _, hash := range r.Identifiers {
			suppressed = append(suppressed, state.Suppressed{Hash: hash, Key: r.Key, At: now})
		}
		e, err := sealed(box, &r, secret{User: u})
		if err != nil {
			return nil, err
		}
		receipts, list = append(receipts, r), append(list, e)
	}
	if order.Suppress {
		if _, err := store.AddSuppressed(ctx, suppressed); err != nil {
			return nil, err
		}
	}
	added, err := store.AddErasures(ctx, list, maxPending)
	if err != nil {
		return nil, err
	}
	if !added {
		return nil, ErrTooMany
	}
	return receipts, nil
}

// newReceipt returns the receipt of a request for a user.
func (o *Order) newReceipt(u *User, key identifier.Key, at time.Time) Receipt {
	r := Receipt{ID: at.Format("20060102") + "-" + strings.ToLower(rand.Text()[:10]), RequestedAt: at, RequestedBy: o.By, Key: key.ID(), Suppressed: o.Suppress}
	for _, id := range u.all() {
		r.Identifiers = append(r.Identifiers, key.Hash(id))
	}
	return r
}

// secret is what is encrypted until an erasure is done.
type secret struct {
	User
	Also []string `json:"also,omitempty"` // other identifiers in the user's events, by which requests with their data are found
}

// sealed returns the stored form of an erasure. A secret without identifiers is not stored.
func sealed(box *oauth.Box, r *Receipt, s secret) (e state.Erasure, err error) {
	doc, err := json.Marshal(r)
	if err != nil {
		return e, err
	}
	e = state.Erasure{ID: r.ID, At: r.RequestedAt, Doc: string(doc)}
	if r.DoneAt != nil {
		e.Done = *r.DoneAt
		return e, nil
	}
	text, err := json.Marshal(&s)
	if err == nil {
		e.Sealed, err = box.SealText("erasure/"+r.ID, string(text))
	}
	return e, err
}

// Receipt shows what was erased, or is to be. It names the user by hashes only.
type Receipt struct {
	ID          string     `json:"id"`
	RequestedAt time.Time  `json:"requestedAt"` // what was received later is not erased
	RequestedBy string     `json:"requestedBy"`
	Identifiers []string   `json:"identifiers"` // their HMACs, made with state.key
	Key         string     `json:"key"`         // identifies the key of the HMACs
	Suppressed  bool       `json:"suppressed,omitempty"`
	DoneAt      *time.Time `json:"doneAt,omitempty"` // nil until everything is erased
	Steps       []Step     `json:"steps,omitempty"`
	Attempts    int        `json:"attempts,omitempty"`
	NextAttempt *time.Time `json:"nextAttempt,omitempty"`
}

// limitRequest sets the time of a request that was made while the clock was ahead to the present, and reports whether it did: otherwise no event of
// the user would be kept until that time comes.
func (r *Receipt) limitRequest(now time.Time) bool {
	if !storedtime.WasAhead(r.RequestedAt, now) {
		return false
	}
	r.RequestedAt = now.UTC()
	return true
}

// maxWait is longer than an erasure waits for its next attempt. One that waits longer failed while the clock was ahead.
const maxWait = 24 * time.Hour

// waits reports whether it is too early for the next attempt.
func (r *Receipt) waits(now time.Time) bool {
	return r.NextAttempt != nil && storedtime.Holds(*r.NextAttempt, now, maxWait)
}

// Step is one part of an erasure.
type Step struct {
	Name     string         `json:"step"`
	Instance string         `json:"instance,omitempty"`
	Done     bool           `json:"done"`
	At       time.Time      `json:"at"` // when it was done, or attempted last
	Counts   map[string]int `json:"counts,omitempty"`
	Error    string         `json:"error,omitempty"` // why it is not done; it is tried again
}

// Names of steps.
const (
	StepFind        = "find"        // reads the stored events of the user
	StepAudiences   = "audiences"   // takes the user out of the audiences of an instance
	StepDestination = "destination" // deletes the user at a destination
	StepLedger      = "ledger"      // deletes the user from the ledgers
	StepDeadLetters = "letters"     // deletes dead letters and parked events
	StepHistory     = "history"     // deletes the user from verdicts, rejected events and the values of handlers
	StepLog         = "log"         // overwrites the events in the log
	StepFiles       = "files"       // removes the remains from the files of the state
)

// State says how far an erasure is: done, pending or failing.
func (r Receipt) State() string {
	switch {
	case r.DoneAt != nil:
		return "done"
	case slices.ContainsFunc(r.Steps, func(s Step) bool { return s.Error != "" }):
		return "failing"
	}
	return "pending"
}

// step returns a step, which is added if the receipt does not have it.
func (r *Receipt) step(name, instance string) *Step {
	for i := range r.Steps {
		if s := &r.Steps[i]; s.Name == name && s.Instance == instance {
			return s
		}
	}
	r.Steps = append(r.Steps, Step{Name: name, Instance: instance})
	return &r.Steps[len(r.Steps)-1]
}

// isFinished reports whether all steps are done.
func (r *Receipt) isFinished() bool {
	return !slices.ContainsFunc(r.Steps, func(s Step) bool { return !s.Done })
}

// List returns the receipts and the erasures that are not done, the newest first. If it gets identifiers, only those of users with one of them.
func (d Desk) List(ctx context.Context, identifiers ...string) ([]Receipt, error) {
	var hashes []string
	if len(identifiers) > 0 {
		key, err := instances.IdentifierKey(d.Config())
		if err != nil {
			return nil, err
		}
		for _, id := range identifiers {
			hashes = append(hashes, key.Hash(id))
		}
	}
	stored, err := d.Store.Erasures(ctx, time.Time{})
	if err != nil {
		return nil, err
	}
	list, err := receiptsOf(stored)
	if len(hashes) > 0 {
		list = slices.DeleteFunc(list, func(r Receipt) bool {
			return !slices.ContainsFunc(r.Identifiers, func(h string) bool { return slices.Contains(hashes, h) })
		})
	}
	return list, err
}

// Latest returns some erasures: first those that are not done, then the newest others.
func (d Desk) Latest(ctx context.Context, limit int) ([]Receipt, error) {
	stored, err := d.Store.LatestErasures(ctx, limit)
	if err != nil {
		return nil, err
	}
	return receiptsOf(stored)
}

// Inspect returns the erasures that are not done, the oldest first, of the state at a location. It changes nothing: see state.InspectErasures.
func Inspect(ctx context.Context, location, sandbox string) ([]Receipt, error) {
	stored, err := state.InspectErasures(ctx, location, sandbox)
	if err != nil {
		return nil, err
	}
	return receiptsOf(stored)
}

func receiptsOf(stored []state.Erasure) ([]Receipt, error) {
	list := make([]Receipt, 0, len(stored))
	for _, e := range stored {
		r, err := receiptOf(e)
		if err != nil {
			return nil, err
		}
		list = append(list, r)
	}
	return list, nil
}

// ErrUnknown means that there is no erasure with an id.
var ErrUnknown = errors.New("there is no erasure with this id: landfall erase list shows them")

// Find returns the erasure with an id.
func (d Desk) Find(ctx context.Context, id string) (Receipt, error) {
	e, ok, err := d.Store.ErasureByID(ctx, id)
	if err != nil {
		return Receipt{}, err
	}
	if !ok {
		return Receipt{}, ErrUnknown
	}
	return receiptOf(e)
}

func receiptOf(e state.Erasure) (r Receipt, err error) {
	if err := json.Unmarshal([]byte(e.Doc), &r); err != nil {
		return r, fmt.Errorf("the erasure %s cannot be read: %w", e.ID, err)
	}
	return r, nil
}

// Summary counts erasures for a sentence.
func Summary(list []Receipt) string {
	done, failing := 0, 0
	for i := range list {
		switch list[i].State() {
		case "done":
			done++
		case "failing":
			failing++
		}
	}
	return fmt.Sprintf("%s: %d done, %d failing, %d pending", fault.Count(len(list), "erasure"), done, failing, len(list)-done-failing)
}
