package state

import (
	"context"
	"database/sql"
	"errors"

	"github.com/landfall-dev/landfall/framework/fault"
)

// Erased counts what EraseMembers has deleted.
type Erased struct {
	Members int64 // rows of identities, whether they were members or not
	History int64 // rows of their history
}

// EraseMembers deletes the identities that match accepts, with their history, from the audiences of all instances. It sends nothing: the
// remotes must have removed them before, and nothing may be sent for them meanwhile. Afterwards Scrub removes the remains in the files.
func (s *Store) EraseMembers(ctx context.Context, match func(identity string) bool) (erased Erased, err error) {
	audiences, err := s.allAudiences(ctx)
	for _, a := range audiences {
		if err != nil {
			break
		}
		err = s.eraseInAudience(ctx, a, match, &erased)
	}
	if err != nil {
		return erased, fault.StateUnavailable("erasing members of the ledgers", err)
	}
	return erased, nil
}

// audienceID names an audience by the id of its row and by its instance and id.
type audienceID struct {
	row int64
	recentKey
}

func (s *Store) allAudiences(ctx context.Context) (list []audienceID, err error) {
	rows, err := s.db.QueryContext(ctx, `SELECT id, instance, audience FROM audiences ORDER BY id`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var a audienceID
		if err := rows.Scan(&a.row, &a.instance, &a.audience); err != nil {
			return nil, err
		}
		list = append(list, a)
	}
	return list, rows.Err()
}

func (s *Store) eraseInAudience(ctx context.Context, a audienceID, match func(string) bool, erased *Erased) error {
	if err := (&Ledger{s, a.instance}).settle(ctx, fromSQL.Replace(a.audience)); err != nil {
		return err
	}
	identities, err := s.matchingIdentities(ctx, a.row, match)
	if err != nil || len(identities) == 0 {
		return err
	}
	return s.inTransaction(ctx, func(tx *sql.Tx) error {
		if err := s.mergeForUpdate(ctx, tx, []int64{a.row}); err != nil {
			return err
		}
		for _, identity := range identities {
			current, err := execCount(ctx, tx, `DELETE FROM members WHERE audience = $1 AND identity = $2 AND member = 1`, a.row, identity)
			former, err2 := execCount(ctx, tx, `DELETE FROM members WHERE audience = $1 AND identity = $2`, a.row, identity)
			history, err3 := execCount(ctx, tx, `DELETE FROM history WHERE audience = $1 AND identity = $2`, a.row, identity)
			_, err4 := execCount(ctx, tx, `UPDATE audiences SET members = members - $2 WHERE id = $1`, a.row, current)
			if err := errors.Join(err, err2, err3, err4); err != nil {
				return err
			}
			erased.Members += current + former
			erased.History += history
		}
		return nil
	})
}

// matchingIdentities returns the identities of an audience that match accepts, as the database has them.
func (s *Store) matchingIdentities(ctx context.Context, audience int64, match func(string) bool) (list []string, err error) {
	rows, err := s.db.QueryContext(ctx, `SELECT identity FROM members WHERE audience = $1`, audience)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var identity string
		if err := rows.Scan(&identity); err != nil {
			return nil, err
		}
		if match(fromSQL.Replace(identity)) {
			list = append(list, identity)
		}
	}
	return list, rows.Err()
}

// ErrScrubBusy means that the file could not be scrubbed completely, since others were reading it.
var ErrScrubBusy = errors.New("the state is being read, so deleted data may still be in its files: try again")

// Scrub rewrites a SQLite file and empties its write-ahead log, so that they have no remains of deleted rows. It takes as much free space
// as the file has, and writes wait for it. In PostgreSQL it makes the space of deleted rows available again; the server's own write-ahead
// log keeps them until it is recycled.
func (s *Store) Scrub(ctx context.Context) error {
	if !s.IsLocal() {
		for _, table := range []string{"members", "history", "journal", "unmerged", "doubts"} {
			if _, err := s.db.ExecContext(ctx, "VACUUM "+table); err != nil {
				return fault.StateUnavailable("vacuuming the state", err)
			}
		}
		return nil
	}
	if _, err := s.db.ExecContext(ctx, `VACUUM`); err != nil {
		return fault.StateUnavailable("rewriting the state's file", err)
	}
	var busy, frames, done int64
	if err := s.hot.QueryRowContext(ctx, `PRAGMA wal_checkpoint(TRUNCATE)`).Scan(&busy, &frames, &done); err != nil {
		return fault.StateUnavailable("emptying the state's write-ahead log", err)
	}
	if busy != 0 {
		return ErrScrubBusy
	}
	return nil
}
