package audiencesync

import (
	"context"
	"errors"
	"time"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/state"
)

// isOvertaken reports whether an event that is newer than the command was recorded after the command started. A time that was ahead
// of the clock and recorded before does not count: the command decides then.
func (o *sender) isOvertaken(m state.Membership) bool {
	return m.At.After(o.began) && latestOf(m.Delivered, m.Confirmed).After(o.began)
}

// changeMember queues a change of a user whose membership is m, as of the start of the command. properties are JSON; "" if there are none.
func (o *sender) changeMember(ctx context.Context, identity string, member bool, m state.Membership, properties string) error {
	if o.isOvertaken(m) {
		o.report.Skipped++
		return nil
	}
	return o.addChange(ctx, destination.Change{Identity: identity, Member: member, At: latestOf(o.began, m.At)}, properties)
}

// sendDecided sends the changes of a sync and records its decision. A mirror that may not remove anyone sends only the users of the list.
func (o *sender) sendDecided(ctx context.Context, mode Mode, users *state.Scratch, plan *plan, mayRemove bool) (err error) {
	if mode == Mirror && mayRemove {
		err = o.sendMirror(ctx, users, plan)
	} else {
		err = o.sendListed(ctx, mode, users)
	}
	return errors.Join(err, o.flush(ctx))
}

// sendMirror decides all users, also those that the ledger does not know, and queues the planned changes. Events from before the decision may have been
// recorded since the comparison: their users are compared again.
func (o *sender) sendMirror(ctx context.Context, users *state.Scratch, plan *plan) error {
	if err := o.syncer.Ledger.DecideAll(ctx, o.audience, o.began); err != nil {
		return err
	}
	if err := plan.addChanged(ctx, o.audience.ID, users); err != nil {
		return err
	}
	var batch []plannedChange
	sendBatch := func() error {
		identities := make([]string, len(batch))
		for i, c := range batch {
			identities[i] = c.identity
		}
		memberships, err := o.syncer.Ledger.Memberships(ctx, o.audience.ID, identities)
		for i, m := range memberships {
			if c := batch[i]; m.Member != c.member || m.Uncertain {
				err = errors.Join(err, o.changeMember(ctx, c.identity, c.member, m, c.properties))
			}
		}
		batch = batch[:0]
		return err
	}
	err := plan.each(ctx, func(c plannedChange) error {
		if batch = append(batch, c); len(batch) < batchSize {
			return nil
		}
		return sendBatch()
	})
	if err != nil {
		return err
	}
	return sendBatch()
}

// sendListed queues the changes of the users of a list, and records its other users as decided. It removes no user who is not in the list.
func (o *sender) sendListed(ctx context.Context, mode Mode, users *state.Scratch) error {
	return o.syncer.Ledger.Compare(ctx, o.audience.ID, users, func(identity string, in bool, m state.Membership) error {
		if !in {
			return nil
		}
		member, send := mode.desiredState(listingOf(in, users.Note()), state.MemberState{Member: m.Member, Uncertain: m.Uncertain})
		if send {
			return o.changeMember(ctx, identity, member, m, propertiesOf(users.Note()))
		}
		return o.keepMember(ctx, identity, member, m)
	})
}

// keepMember records that the membership of a user, which is m, holds as of the start of the command.
func (o *sender) keepMember(ctx context.Context, identity string, member bool, m state.Membership) error {
	if o.syncer.DryRun || !m.At.Before(o.began) {
		return nil
	}
	o.kept = append(o.kept, destination.Change{Identity: identity, Member: member, At: o.began})
	if len(o.kept) < batchSize {
		return nil
	}
	return o.flushKept(ctx)
}

// flushKept records the queued unchanged memberships. Those that have changed in the meantime are sent.
func (o *sender) flushKept(ctx context.Context) error {
	changed, err := o.syncer.Ledger.Decide(ctx, o.audience, o.kept)
	o.kept = o.kept[:0]
	for _, c := range changed {
		o.report.countChange(c.Member)
		err = errors.Join(err, o.addChange(ctx, c, ""))
	}
	return err
}

// flush records and sends what is queued.
func (o *sender) flush(ctx context.Context) error {
	return errors.Join(o.flushKept(ctx), o.flushBatch(ctx))
}

// latestOf returns the later time. It keeps a requested change from being superseded by an event whose time is ahead of the clock.
func latestOf(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
