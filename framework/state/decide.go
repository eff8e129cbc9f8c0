package state

import (
	"context"
	"time"

	"github.com/landfall-dev/landfall/framework/destination"
)

// Purge records that every membership from an event before at has ended, also for identities that the ledger does not know. Events
// older than at then have no effect. A member is uncertain, and counted in the size, until its exit is recorded. It writes one row.
func (l *Ledger) Purge(ctx context.Context, a destination.Audience, at time.Time) error {
	return l.raiseMark(ctx, a, `UPDATE audiences SET purged = $2 WHERE id = $1 AND (purged IS NULL OR purged < $2 OR purged > $3)`, at)
}

// DecideAll records that the memberships of the ledger are valid as of at. An identity that the ledger does not know is not a member.
// Events older than at then have no effect. It writes one row.
func (l *Ledger) DecideAll(ctx context.Context, a destination.Audience, at time.Time) error {
	return l.raiseMark(ctx, a, `UPDATE audiences SET decided = $2 WHERE id = $1 AND (decided IS NULL OR decided < $2 OR decided > $3)`, at)
}

func (l *Ledger) raiseMark(ctx context.Context, a destination.Audience, statement string, at time.Time) error {
	return l.withAudienceLocked(ctx, a, 0, func(t *lockedAudience) error {
		_, err := t.tx.ExecContext(ctx, statement, t.row.id, at.UnixMicro(), t.row.latest)
		return err
	})
}

// limitMarks sets the marks of purges and syncs that are ahead of the clock to the present. They are from a time when the clock was ahead, and
// no event before them would have an effect.
func (s *Store) limitMarks(ctx context.Context, now time.Time) error {
	latest, marks := now.Add(s.maxAhead).UnixMicro(), 0
	err := s.db.QueryRowContext(ctx, `SELECT COUNT(*) FROM audiences WHERE purged > $1 OR decided > $1`, latest).Scan(&marks)
	if err != nil || marks == 0 {
		return err
	}
	_, err = s.db.ExecContext(ctx, `UPDATE audiences SET purged = CASE WHEN purged > $1 THEN $2 ELSE purged END,
		decided = CASE WHEN decided > $1 THEN $2 ELSE decided END WHERE purged > $1 OR decided > $1`, latest, now.UnixMicro())
	return err
}

// Decide records, in one transaction, that the memberships of changes are valid as of the time of each, if the ledger has them
// already; an unknown identity is not a member. It returns the changes that must be sent, because the ledger has another membership or
// is uncertain. A change that is older than what the ledger has is ignored.
func (l *Ledger) Decide(ctx context.Context, a destination.Audience, changes []destination.Change) (send []destination.Change, err error) {
	if len(changes) == 0 {
		return nil, nil
	}
	identities := make([]string, len(changes))
	for i := range changes {
		identities[i] = changes[i].Identity
	}
	apply := func(c *ledgerUpdate) {
		send = nil // of an attempt before
		now := toMicros(time.Now())
		for _, ch := range changes {
			e := c.member(ch.Identity)
			switch r := e.toRecord(&c.audienceRow); {
			case ch.At.Before(r.At):
			case r.Member != ch.Member || r.Uncertain:
				send = append(send, ch)
			default:
				e.member, e.at, e.confirmed, e.changed = ch.Member, toMicros(ch.At), now, true
			}
		}
	}
	err = l.withAudienceLocked(ctx, a, len(identities), func(t *lockedAudience) error {
		_, err := t.update(ctx, identities, apply)
		return err
	})
	return send, err
}
