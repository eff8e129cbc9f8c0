package state

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"slices"
	"time"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/fault"
)

// pageSize is how many rows are read at a time where there may be many.
const pageSize = 1000

// Standing is what is known of one identity in one audience.
type Standing struct {
	destination.Record
	Identity  string
	Delivered time.Time // when the remote took the last change; zero where it took none
	Confirmed time.Time // when an event last said the same again; zero where none did
}

// Happening is one line of an identity's history.
type Happening struct {
	Decided time.Time // when it was
	At      time.Time // the time of the event
	Member  bool      // an entry, else an exit
	Outcome string    // delivered, skipped, refused or retry
	Reason  string
}

func (e *entry) standing(purged sql.NullInt64) Standing {
	return Standing{e.record(purged), e.identity, timeOf(e.delivered), timeOf(e.confirmed)}
}

// Audience is one audience by its id; ok is false where nothing was ever sent to it.
func (l *Ledger) Audience(ctx context.Context, id string) (size destination.AudienceSize, ok bool, err error) {
	a, err := l.audience(ctx, l.store.db, id, "")
	if errors.Is(err, sql.ErrNoRows) {
		return size, false, nil
	}
	size = destination.AudienceSize{
		Audience: destination.Audience{ID: id, Name: fromSQL.Replace(a.name)}, Members: int(a.members), Purged: timeOf(a.purged),
	}
	return size, err == nil, err
}

// Each calls f with everybody the ledger has in an audience, members or not, behind an identity, in the order of bytes. It
// reads page by page, and sees changes that others make meanwhile.
func (l *Ledger) Each(ctx context.Context, audienceID, after string, f func(Standing) error) error {
	a, err := l.audience(ctx, l.store.db, audienceID, "")
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	for err == nil {
		var page []Standing
		if page, err = l.page(ctx, a, after); err != nil {
			break
		}
		for _, s := range page {
			if err := f(s); err != nil {
				return err
			}
			after = s.Identity
		}
		if len(page) < pageSize {
			return nil
		}
	}
	return fault.StateUnavailable("reading the ledger", err)
}

func (l *Ledger) page(ctx context.Context, a *audience, after string) ([]Standing, error) {
	rows, err := l.store.db.QueryContext(ctx, `SELECT identity, member, doubt, turns, at, delivered, confirmed FROM members
		WHERE audience = $1 AND identity > $2 ORDER BY identity LIMIT $3`, a.id, toSQL.Replace(after), pageSize)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	page := make([]Standing, 0, pageSize)
	for rows.Next() {
		e := &entry{}
		if err := e.scan(rows); err != nil {
			return nil, err
		}
		page = append(page, e.standing(a.purged))
	}
	return page, rows.Err()
}

// Find is one identity in one audience with what happened to it, the newest last; ok is false where the ledger does not
// have it. The last delivery is in the Standing, not among the happenings.
func (l *Ledger) Find(ctx context.Context, audienceID, identity string) (s Standing, history []Happening, ok bool, err error) {
	a, err := l.audience(ctx, l.store.db, audienceID, "")
	if errors.Is(err, sql.ErrNoRows) {
		return s, nil, false, nil
	}
	var entries map[string]*entry
	if err == nil {
		entries, err = l.entries(ctx, l.store.db, a.id, []string{identity})
	}
	e := entries[identity]
	if err == nil && e == nil {
		return s, nil, false, nil
	}
	if err == nil {
		history, err = l.history(ctx, a.id, identity)
	}
	if err != nil {
		return s, nil, false, fault.StateUnavailable("reading the ledger", err)
	}
	return e.standing(a.purged), history, true, nil
}

func (l *Ledger) history(ctx context.Context, audience int64, identity string) ([]Happening, error) {
	rows, err := l.store.db.QueryContext(ctx, `SELECT decided, at, member, outcome, reason FROM history
		WHERE audience = $1 AND identity = $2`, audience, toSQL.Replace(identity))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []Happening
	for rows.Next() {
		var h Happening
		var decided, at int64
		var member int
		if err := rows.Scan(&decided, &at, &member, &h.Outcome, &h.Reason); err != nil {
			return nil, err
		}
		h.Decided, h.At, h.Member = time.UnixMicro(decided).UTC(), time.UnixMicro(at).UTC(), member != 0
		h.Reason = fromSQL.Replace(h.Reason)
		list = append(list, h)
	}
	slices.SortStableFunc(list, func(a, b Happening) int { return a.Decided.Compare(b.Decided) })
	return list, rows.Err()
}

// Purge puts down that nobody whose event is older than at is a member any more, known or not: late events of before come to
// nothing. Those who are members are still counted until their exits are written.
func (l *Ledger) Purge(ctx context.Context, a destination.Audience, at time.Time) error {
	return l.locked(ctx, a, func(tx *sql.Tx, row *audience) error {
		_, err := tx.ExecContext(ctx, `UPDATE audiences SET purged = $2 WHERE id = $1`, row.id, at.UnixMicro())
		return err
	})
}

func sortSizes(sizes []destination.AudienceSize) {
	slices.SortFunc(sizes, func(a, b destination.AudienceSize) int { return cmp.Compare(a.ID, b.ID) })
}
