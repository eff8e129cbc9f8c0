package destination

import (
	"cmp"
	"context"

	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/internal/pool"
)

// audienceBatch holds the changes of a batch to one audience, in order.
type audienceBatch struct {
	AudienceSync
	deps     Deps
	ms       *MultiStatus
	audience Audience // with the name of the last payload
	first    int      // index of the first payload
	changes  []*MemberChange
	skipped  []*MemberChange // superseded ones whose notes are not written yet
	same     []*MemberChange // ones that change nothing and are not recorded yet
	created  bool            // the remote has the audience under its name
	accepted bool            // the remote has accepted members
}

// readAudiences sets changes to what the payloads say and groups them by audience, in order of first appearance. Invalid payloads fail.
func readAudiences(changes []MemberChange, s AudienceSync, deps Deps, ms *MultiStatus) []*audienceBatch {
	var list []*audienceBatch
	var b *audienceBatch // of the previous change: usually the next has the same audience
	byID := map[string]*audienceBatch{}
	for i := range changes {
		c := &changes[i]
		if err := s.readChange(i, c); err != nil {
			ms.Fail(i, err)
			continue
		}
		if b == nil || b.audience.ID != c.Audience.ID {
			if b = byID[c.Audience.ID]; b == nil {
				b = &audienceBatch{AudienceSync: s, deps: deps, ms: ms, first: i}
				byID[c.Audience.ID] = b
				list = append(list, b)
			}
		}
		b.audience = c.Audience
		b.changes = append(b.changes, c)
	}
	return list
}

// readChange sets c to the change of payload i.
func (s *AudienceSync) readChange(i int, c *MemberChange) (err error) {
	if *c, err = s.Read(i); err != nil {
		return err
	}
	c.index, c.text = i, c.Identity.String()
	if n := len(c.text); n > MaxIdentity {
		return fault.Invalid("the identifier should be at most %d bytes long but has %d", MaxIdentity, n)
	}
	return nil
}

// newestChanges returns the change with the newest time of each identity; of equal times, the later change. The others are skipped,
// unless those that agree with it are sent, too.
func (b *audienceBatch) newestChanges() []*MemberChange {
	newest := newIdentityTable(len(b.changes))
	defer newest.release()
	for _, c := range b.changes {
		c.newest = newest.slot(c.text)
		if best := *c.newest; best == nil || !c.At.Before(best.At) {
			*c.newest = c
		} else {
			c.late = true
		}
	}
	leadsToNewest := func(c *MemberChange) bool {
		if !b.OneWay {
			return !c.late
		}
		return (*c.newest).Member == c.Member || c.Member
	}
	kept := make([]*MemberChange, 0, len(b.changes))
	for _, c := range b.changes {
		if *c.newest == c || b.SendRepeats && leadsToNewest(c) {
			kept = append(kept, c)
		} else {
			b.supersede(c)
		}
	}
	return kept
}

// supersede skips a change because of a newer one.
func (b *audienceBatch) supersede(c *MemberChange) {
	b.ms.SkipFor(c.index, fault.CauseSuperseded)
	b.skipped = append(b.skipped, c)
}

// filterNew drops changes that the ledger knows to be superseded, and moves those that change nothing to b.same.
func (b *audienceBatch) filterNew(ctx context.Context, changes []*MemberChange) ([]*MemberChange, error) {
	identities := identityPool.Get(len(changes))
	for i, c := range changes {
		identities[i] = c.text
	}
	records, err := b.deps.Members.Lookup(ctx, b.audience.ID, identities)
	identityPool.Put(identities)
	if err != nil {
		return nil, err
	}
	kept := make([]*MemberChange, 0, len(changes))
	for i, c := range changes {
		switch r := records[i]; {
		case c.At.Before(r.At):
			b.supersede(c)
		case r.Known && c.Member == r.Member && !r.Uncertain && !b.SendUnchanged:
			b.same = append(b.same, c)
		default:
			kept = append(kept, c)
		}
	}
	return kept, nil
}

func (b *audienceBatch) stateKey() string {
	return cmp.Or(b.StatePrefix, "audience/") + b.audience.ID
}

// ensureCreated creates or renames the audience, unless the remote has accepted members for it under its name.
func (b *audienceBatch) ensureCreated(ctx context.Context) error {
	if b.Create == nil {
		b.created = true
		return nil
	}
	name, _, err := b.deps.State.Get(ctx, b.stateKey())
	if err != nil {
		return err
	}
	if b.created = name == b.audience.Name; b.created {
		return nil
	}
	return b.Create(ctx, b.audience, b.first)
}

// rememberCreated stores the audience's name once the remote has accepted members. Until then, creating the audience again is safe.
func (b *audienceBatch) rememberCreated(ctx context.Context) error {
	if b.created || !b.accepted {
		return nil
	}
	b.created = true
	return b.deps.State.Put(ctx, b.stateKey(), b.audience.Name)
}

// acceptChanges records changes that the remote has accepted, and marks them as delivered only after that.
func (b *audienceBatch) acceptChanges(ctx context.Context, changes []*MemberChange) error {
	list, release := b.ledgerChanges(changes, false)
	defer release()
	if err := b.updateLedger(context.WithoutCancel(ctx), MemberUpdate{Accepted: list, Notes: b.notesOf(b.skipped)}); err != nil {
		return err
	}
	b.setNoted()
	b.accepted = true
	for _, c := range changes {
		b.ms.Deliver(c.index)
	}
	return nil
}

// failChanges sets the results of changes that the remote has not accepted. Changes that it has refused for good supersede no others.
func (b *audienceBatch) failChanges(ctx context.Context, changes []*MemberChange, err error) {
	var refused []Change
	listed := map[string]bool{}
	for _, c := range changes {
		b.ms.Fail(c.index, err)
		if !b.ms.Result(c.index).Err.Retry && !listed[c.text] {
			listed[c.text] = true
			refused = append(refused, Change{Identity: c.text, Member: c.Member})
		}
	}
	if len(refused) == 0 {
		return
	}
	if err := b.deps.Members.MarkUncertain(context.WithoutCancel(ctx), b.audience, refused); err != nil {
		b.deps.Log.Warn("cannot store in the ledger that changes were refused", "error", err)
	}
}

// failRest sets err as the result of every undecided payload of the audience.
func (b *audienceBatch) failRest(err error) {
	for _, c := range b.changes {
		if !b.ms.Decided(c.index) {
			b.ms.Fail(c.index, err)
		}
	}
}

// The pools of the lists that are passed to the ledger, which does not keep them.
var (
	identityPool pool.Slice[string]
	changePool   pool.Slice[Change]
)

// ledgerChanges returns changes as the ledger stores them, of several of an identity the newest, and a function that reuses the list.
func (b *audienceBatch) ledgerChanges(changes []*MemberChange, unchanged bool) (list []Change, release func()) {
	pooled := changePool.Get(len(changes))
	list = pooled[:0]
	places := map[string]int{}
	for _, c := range changes {
		change := Change{Identity: c.text, Member: c.Member, At: c.At, Unchanged: unchanged}
		if b.SendRepeats {
			if i, ok := places[c.text]; ok {
				if !c.At.Before(list[i].At) {
					list[i] = change
				}
				continue
			}
			places[c.text] = len(list)
		}
		list = append(list, change)
	}
	return list, func() { changePool.Put(pooled) }
}

// beginSending records what changes nothing, and marks changes in the ledger before they are sent.
func (b *audienceBatch) beginSending(ctx context.Context, changes []*MemberChange) error {
	if len(b.same)+len(changes) == 0 {
		return nil
	}
	same, releaseSame := b.ledgerChanges(b.same, true) // the newer time supersedes events in between that arrive later
	defer releaseSame()
	sent, releaseSent := b.ledgerChanges(changes, false)
	defer releaseSent()
	if err := b.updateLedger(ctx, MemberUpdate{Accepted: same, Uncertain: sent}); err != nil {
		return err
	}
	for _, c := range b.same {
		b.ms.SkipFor(c.index, fault.CauseNoChange)
	}
	b.same = nil
	return nil
}

// updateLedger writes an update to the ledger. If notes are written by themselves and that fails, it is only logged.
func (b *audienceBatch) updateLedger(ctx context.Context, u MemberUpdate) error {
	members := b.deps.Members
	if updater, ok := members.(MemberUpdater); ok {
		return updater.Update(ctx, b.audience, u)
	}
	if len(u.Accepted) > 0 {
		if err := members.Record(ctx, b.audience, u.Accepted); err != nil {
			return err
		}
	}
	b.writeNotes(ctx, u.Notes)
	if len(u.Uncertain) > 0 {
		return members.MarkUncertain(ctx, b.audience, u.Uncertain)
	}
	return nil
}

// writeNotes stores notes in the ledger. If that fails, it is only logged.
func (b *audienceBatch) writeNotes(ctx context.Context, notes []Note) {
	if len(notes) == 0 {
		return
	}
	if err := b.deps.Members.Annotate(context.WithoutCancel(ctx), b.audience, notes); err != nil {
		b.deps.Log.Warn("cannot store the reasons of undelivered changes in the ledger", "error", err)
	}
}

// annotateUndelivered stores in the ledger why changes were not delivered, unless an update has stored it.
func (b *audienceBatch) annotateUndelivered(ctx context.Context) {
	b.writeNotes(ctx, b.notesOf(b.changes))
}

// notesOf returns the notes of changes that were not delivered and have no notes yet.
func (b *audienceBatch) notesOf(changes []*MemberChange) (notes []Note) {
	for _, c := range changes {
		if c.noted || b.ms.Outcome(c.index) == Delivered {
			continue
		}
		r := b.ms.Result(c.index)
		if outcome, reason := r.Describe(); r.Cause != fault.CauseNoChange {
			notes = append(notes, Note{Identity: c.text, Member: c.Member, At: c.At, Outcome: outcome, Reason: reason})
		}
	}
	return notes
}

// setNoted says that the notes of the skipped changes are written.
func (b *audienceBatch) setNoted() {
	for _, c := range b.skipped {
		c.noted = true
	}
	b.skipped = nil
}
