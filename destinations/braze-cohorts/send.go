package brazecohorts

import (
	"context"
	"net/http"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/fault"
)

// sender sends the changes of one cohort to Braze.
type sender struct {
	api    *api
	deps   destination.Deps
	ms     *destination.MultiStatus
	cohort *cohort
	resend bool // send changes even if the ledger says that Braze has them

	splits   int  // how often refused requests were halved
	accepted bool // Braze has accepted members
}

// sendCohort creates the cohort if needed, then changes its members. Results that were set before an error remain.
//
// Only one batch of a cohort runs at a time, so the ledger does not change between Lookup and Record.
func (s *sender) sendCohort(ctx context.Context) error {
	release, err := s.deps.Locks.Lock(ctx, s.cohort.id)
	if err != nil {
		return err
	}
	defer release()
	order := orderPool.Get(len(s.cohort.changes))
	defer orderPool.Put(order)
	changes, err := s.filterNew(ctx, s.cohort.newestChanges(order[:0], s.ms))
	if err != nil || len(changes) == 0 {
		return err
	}
	key := "cohort/" + s.cohort.id
	name, _, err := s.deps.State.Get(ctx, key)
	if err != nil {
		return err
	}
	created := name == s.cohort.name
	if !created {
		if err := s.api.createCohort(ctx, s.deps.Client, s.cohort.id, s.cohort.name, s.cohort.createdAt); err != nil {
			return err
		}
	}
	for len(changes) > 0 {
		n := min(len(changes), maxIDs)
		if err := s.markUncertain(ctx, changes[:n]); err != nil {
			return err
		}
		if err := s.sendChanges(ctx, changes[:n]); err != nil {
			return err
		}
		if !created && s.accepted { // stored only now: until Braze has accepted members, creating the cohort again is safe
			if err := s.deps.State.Put(ctx, key, s.cohort.name); err != nil {
				return err
			}
			created = true
		}
		changes = changes[n:]
	}
	return nil
}

// filterNew drops changes that the ledger knows to be superseded or that change nothing.
func (s *sender) filterNew(ctx context.Context, changes []*change) ([]*change, error) {
	identities := identitiesOf(changes)
	defer namePool.Put(identities)
	records, err := s.deps.Members.Lookup(ctx, s.cohort.id, identities)
	if err != nil {
		return nil, err
	}
	kept, same := changes[:0], []*change(nil)
	for i, c := range changes {
		switch r := records[i]; {
		case r.Known && c.At.Before(r.At):
			s.ms.SkipFor(c.index, fault.CauseSuperseded)
		case r.Known && c.Member == r.Member && !r.Uncertain && !s.resend:
			same = append(same, c)
		default:
			kept = append(kept, c)
		}
	}
	if err := s.recordChanges(ctx, same, true); err != nil { // the newer time supersedes events in between that arrive later
		return nil, err
	}
	for _, c := range same {
		s.ms.SkipFor(c.index, fault.CauseNoChange)
	}
	return kept, nil
}

// sendChanges sends one request and records the changes that Braze has accepted. A malformed request is halved until the
// invalid changes are alone; the others are sent.
func (s *sender) sendChanges(ctx context.Context, changes []*change) error {
	err := s.api.changeMembers(ctx, s.deps.Client, s.cohort.id, changes)
	switch e := fault.As(err); {
	case e == nil:
		return s.recordDelivered(ctx, changes)
	case e.Status == http.StatusBadRequest && len(changes) > 1 && s.splits < maxSplits:
		s.splits++
		half := len(changes) / 2
		if err := s.sendChanges(ctx, changes[:half]); err != nil {
			return err
		}
		return s.sendChanges(ctx, changes[half:])
	}
	for _, c := range changes {
		s.ms.Fail(c.index, err)
	}
	if fault.As(err).Status == http.StatusBadRequest {
		return nil
	}
	return destination.NotSent(err) // the other changes were not in this request
}

// maxSplits is the maximum number of times that a batch is split to find invalid changes. If a batch has more of them, larger
// parts fail.
const maxSplits = 64

// recordDelivered records accepted changes, and marks them as delivered only after that.
func (s *sender) recordDelivered(ctx context.Context, changes []*change) error {
	if err := s.recordChanges(context.WithoutCancel(ctx), changes, false); err != nil {
		return err
	}
	s.accepted = true
	for _, c := range changes {
		s.ms.Deliver(c.index)
	}
	return nil
}

// markUncertain marks identities as uncertain before changes are sent: after a missing response or a crash it is unknown
// whether Braze has accepted them.
func (s *sender) markUncertain(ctx context.Context, changes []*change) error {
	identities := identitiesOf(changes)
	defer namePool.Put(identities)
	return s.deps.Members.MarkUncertain(ctx, s.destinationAudience(), identities)
}

// identitiesOf returns the ledger's identities of changes, in a slice of namePool that the caller must put back.
func identitiesOf(changes []*change) []string {
	list := namePool.Get(len(changes))
	for i, c := range changes {
		list[i] = c.Identity
	}
	return list
}

func (s *sender) destinationAudience() destination.Audience {
	return destination.Audience{ID: s.cohort.id, Name: s.cohort.name}
}

func (s *sender) recordChanges(ctx context.Context, changes []*change, unchanged bool) error {
	if len(changes) == 0 {
		return nil
	}
	written := recordPool.Get(len(changes))
	defer recordPool.Put(written)
	for i, c := range changes {
		written[i] = c.Change
		written[i].Unchanged = unchanged
	}
	return s.deps.Members.Record(ctx, s.destinationAudience(), written)
}

// failRest sets err as the result of every undecided payload of the cohort.
func (s *sender) failRest(err error) {
	for _, c := range s.cohort.changes {
		if !s.ms.Decided(c.index) {
			s.ms.Fail(c.index, err)
		}
	}
}

// annotateUndelivered stores in the ledger why changes were not delivered. If that fails, it is only logged.
func (s *sender) annotateUndelivered(ctx context.Context) {
	var notes []destination.Note
	for _, c := range s.cohort.changes {
		if s.ms.Outcome(c.index) == destination.Delivered {
			continue
		}
		r := s.ms.Result(c.index)
		if outcome, reason := r.Describe(); r.Cause != fault.CauseNoChange {
			notes = append(notes, destination.Note{Identity: c.Identity, Member: c.Member, At: c.At, Outcome: outcome, Reason: reason})
		}
	}
	if len(notes) == 0 {
		return
	}
	if err := s.deps.Members.Annotate(context.WithoutCancel(ctx), s.destinationAudience(), notes); err != nil {
		s.deps.Log.Warn("cannot store the reasons of undelivered changes in the ledger", "error", err)
	}
}
