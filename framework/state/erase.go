package state

import (
	"context"
	"database/sql"
	"errors"

	"github.com/landfall-dev/landfall/framework/fault"
)

// ErasedMember is an identity that EraseMembers has deleted.
type ErasedMember struct {
	Instance string
	Audience string
	Identity string
	History  int64 // rows of its history
}

// EraseMembers deletes the identities that match accepts, with their history, from the audiences of all instances, and calls visit for each of
// them. It sends nothing: the remotes must have removed them before, so identities that are still members stay, and so do those with a request
// in flight. Afterwards Scrub removes the remains in the files.
func (s *Store) EraseMembers(ctx context.Context, match func(identity string) bool, visit func(ErasedMember)) error {
	audiences, err := s.allAudiences(ctx)
	for _, a := range audiences {
		if err != nil {
			break
		}
		err = s.eraseInAudience(ctx, a, match, visit)
	}
	if err != nil {
		return fault.StateUnavailable("erasing members of the ledgers", err)
	}
	return nil
}

// audienceID names an audience by the id of its row and by its instance and id.
type audienceID struct {
	row int64
	recentKey
}

func (s *Store) allAudiences(ctx context.Context) (list []audienceID, err error) {
	err = eachRow(ctx, s.db, func(rows *sql.Rows) error {
		var a audienceID
		err := rows.Scan(&a.row, &a.instance, &a.audience)
		list = append(list, a)
		return err
	}, `SELECT id, instance, audience FROM audiences ORDER BY id`)
	return list, err
}

func (s *Store) eraseInAudience(ctx context.Context, a audienceID, match func(string) bool, visit func(ErasedMember)) error {
	if err := (&Ledger{s, a.instance}).settle(ctx, fromSQL.Replace(a.audience)); err != nil {
		return err
	}
	identities, err := s.matchingIdentities(ctx, a.row, match)
	if err != nil || len(identities) == 0 {
		return err
	}
	var erased []ErasedMember
	err = s.inTransaction(ctx, func(tx *sql.Tx) error {
		if err := s.mergeForUpdate(ctx, tx, []int64{a.row}); err != nil {
			return err
		}
		for _, identity := range identities {
			n, err := execCount(ctx, tx, `DELETE FROM members WHERE audience = $1 AND identity = $2 AND member = 0 AND doubt = 0`, a.row, identity)
			if err != nil {
				return err
			}
			if n == 0 {
				continue
			}
			history, err := execCount(ctx, tx, `DELETE FROM history WHERE audience = $1 AND identity = $2`, a.row, identity)
			if err != nil {
				return err
			}
			erased = append(erased, ErasedMember{fromSQL.Replace(a.instance), fromSQL.Replace(a.audience), fromSQL.Replace(identity), history})
		}
		return nil
	})
	for i := range erased {
		if err == nil {
			visit(erased[i])
		}
	}
	return err
}

// matchingIdentities returns the identities of an audience that match accepts, as the database has them.
func (s *Store) matchingIdentities(ctx context.Context, audience int64, match func(string) bool) (list []string, err error) {
	err = eachRow(ctx, s.db, func(rows *sql.Rows) error {
		var identity string
		if err := rows.Scan(&identity); err != nil {
			return err
		}
		if match(fromSQL.Replace(identity)) {
			list = append(list, identity)
		}
		return nil
	}, `SELECT identity FROM members WHERE audience = $1`, audience)
	return list, err
}

// ErrScrubBusy means that the file could not be scrubbed completely, since others were reading it.
var ErrScrubBusy = errors.New("the state is being read, so deleted data may still be in its files: try again")

// Scrub rewrites a SQLite file and empties its write-ahead log, so that they have no remains of deleted rows. It takes as much free space
// as the file has, and writes wait for it. In PostgreSQL it makes the space of deleted rows available again; the server's own write-ahead
// log keeps them until it is recycled.
func (s *Store) Scrub(ctx context.Context) error {
	if !s.IsLocal() {
		for _, table := range []string{"members", "history", "journal", "unmerged", "doubts", "state", "erasures"} {
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
