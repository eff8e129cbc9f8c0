package brazecohorts

import (
	"context"
	"net/http"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/fault"
)

// sender brings the changes of one cohort to Braze.
type sender struct {
	api    *api
	deps   destination.Deps
	ms     *destination.MultiStatus
	cohort *cohort
	resend bool // also what the ledger says Braze has

	divisions int  // of requests that Braze refused
	taken     bool // Braze has taken members
}

// send creates the cohort where that is needed, then changes its members. What has been decided before an error stays
// decided.
//
// One batch of a cohort is under way at a time: what the ledger says holds until it is written.
func (s *sender) send(ctx context.Context) error {
	release, err := s.deps.Locks.Lock(ctx, s.cohort.id)
	if err != nil {
		return err
	}
	defer release()
	order := orderPool.Get(len(s.cohort.changes))
	defer orderPool.Put(order)
	changes, err := s.news(ctx, s.cohort.newest(order[:0], s.ms))
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
		if err := s.doubt(ctx, changes[:n]); err != nil {
			return err
		}
		if err := s.change(ctx, changes[:n]); err != nil {
			return err
		}
		if !created && s.taken { // remembered only now: until Braze has taken members, creating again is the safe side
			if err := s.deps.State.Put(ctx, key, s.cohort.name); err != nil {
				return err
			}
			created = true
		}
		changes = changes[n:]
	}
	return nil
}

// news drops what the ledger knows to be superseded, and what would change nothing.
func (s *sender) news(ctx context.Context, changes []*change) ([]*change, error) {
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
			s.ms.Skip(c.index, superseded)
		case r.Known && c.Member == r.Member && !r.Uncertain && !s.resend:
			same = append(same, c)
		default:
			kept = append(kept, c)
		}
	}
	if err := s.record(ctx, same, true); err != nil { // the newer time supersedes what may still come from between
		return nil, err
	}
	for _, c := range same {
		s.ms.Skip(c.index, unchanged)
	}
	return kept, nil
}

// change sends one request and records what Braze has taken. A request that Braze refuses as malformed is divided until
// the changes it cannot take are alone; the others go out.
func (s *sender) change(ctx context.Context, changes []*change) error {
	err := s.api.changeMembers(ctx, s.deps.Client, s.cohort.id, changes)
	switch e := fault.As(err); {
	case e == nil:
		return s.delivered(ctx, changes)
	case e.Status == http.StatusBadRequest && len(changes) > 1 && s.divisions < maxDivisions:
		s.divisions++
		half := len(changes) / 2
		if err := s.change(ctx, changes[:half]); err != nil {
			return err
		}
		return s.change(ctx, changes[half:])
	}
	for _, c := range changes {
		s.ms.Fail(c.index, err)
	}
	if fault.As(err).Status == http.StatusBadRequest {
		return nil
	}
	return destination.NotSent(err) // the other changes were not in this request
}

// maxDivisions bounds the requests that look for what Braze cannot take: a batch in which more is wrong than they can find
// fails in larger parts.
const maxDivisions = 64

// delivered records what Braze has taken, and only then says so.
func (s *sender) delivered(ctx context.Context, changes []*change) error {
	if err := s.record(context.WithoutCancel(ctx), changes, false); err != nil {
		return err
	}
	s.taken = true
	for _, c := range changes {
		s.ms.Deliver(c.index)
	}
	return nil
}

// doubt puts down that Braze may take changes from now on, before they are sent: an answer that does not come, and a crash
// before it is recorded, leave it open whether it has.
func (s *sender) doubt(ctx context.Context, changes []*change) error {
	identities := identitiesOf(changes)
	defer namePool.Put(identities)
	return s.deps.Members.MarkUncertain(ctx, s.audience(), identities)
}

// identitiesOf are the identities of changes as the ledger has them, in room that is to be given back to namePool.
func identitiesOf(changes []*change) []string {
	list := namePool.Get(len(changes))
	for i, c := range changes {
		list[i] = c.Identity
	}
	return list
}

func (s *sender) audience() destination.Audience {
	return destination.Audience{ID: s.cohort.id, Name: s.cohort.name}
}

func (s *sender) record(ctx context.Context, changes []*change, unchanged bool) error {
	if len(changes) == 0 {
		return nil
	}
	written := recordPool.Get(len(changes))
	defer recordPool.Put(written)
	for i, c := range changes {
		written[i] = c.Change
		written[i].Unchanged = unchanged
	}
	return s.deps.Members.Record(ctx, s.audience(), written)
}

// failRest gives err to every payload of the cohort that is not decided.
func (s *sender) failRest(err error) {
	for _, c := range s.cohort.changes {
		if !s.ms.Decided(c.index) {
			s.ms.Fail(c.index, err)
		}
	}
}

// note keeps in the ledger, for people, why changes of the cohort were not delivered. That it cannot is no failure of the
// batch.
func (s *sender) note(ctx context.Context) {
	var notes []destination.Note
	for _, c := range s.cohort.changes {
		if s.ms.Outcome(c.index) == destination.Delivered {
			continue
		}
		if outcome, reason := s.ms.Result(c.index).Describe(); reason != unchanged {
			notes = append(notes, destination.Note{Identity: c.Identity, Member: c.Member, At: c.At, Outcome: outcome, Reason: reason})
		}
	}
	if len(notes) == 0 {
		return
	}
	if err := s.deps.Members.Annotate(context.WithoutCancel(ctx), s.audience(), notes); err != nil {
		s.deps.Log.Warn("the ledger does not take the reasons of a batch", "error", err)
	}
}
