package state

import (
	"context"
	"database/sql"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/state/sortedfile"
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
	if err := s.deleteTableRows(ctx, a.row); err != nil { // they are left of an interrupted move to files
		return err
	}
	identities, err := s.matchingIdentities(ctx, a.row, match)
	if err != nil || len(identities) == 0 {
		return err
	}
	erased, inFiles, err := s.eraseInFiles(ctx, a.row, identities)
	if err == nil && !inFiles {
		erased, err = s.eraseInTables(ctx, a.row, identities)
	}
	if err != nil {
		return err
	}
	for _, identity := range slices.Sorted(maps.Keys(erased)) {
		visit(ErasedMember{fromSQL.Replace(a.instance), fromSQL.Replace(a.audience), identity, erased[identity]})
	}
	return nil
}

// eraseInTables deletes identities of an audience whose rows are in the tables, and returns the rows of history of each that it has deleted.
func (s *Store) eraseInTables(ctx context.Context, audience int64, identities []string) (erased map[string]int64, err error) {
	erased = map[string]int64{}
	return erased, s.inTransaction(ctx, func(tx *sql.Tx) error {
		if err := s.mergeForUpdate(ctx, tx, []int64{audience}); err != nil {
			return err
		}
		for _, identity := range identities {
			escaped := toSQL.Replace(identity)
			n, err := execCount(ctx, tx, `DELETE FROM members WHERE audience = $1 AND identity = $2 AND member = 0 AND doubt = 0`, audience, escaped)
			if err != nil {
				return err
			}
			if n == 0 {
				continue
			}
			if erased[identity], err = execCount(ctx, tx, `DELETE FROM history WHERE audience = $1 AND identity = $2`, audience, escaped); err != nil {
				return err
			}
		}
		return nil
	})
}

// eraseInFiles is eraseInTables for an audience whose rows are in files. inFiles is false if they are in the tables.
func (s *Store) eraseInFiles(ctx context.Context, audience int64, identities []string) (erased map[string]int64, inFiles bool, err error) {
	wanted := make(map[string]bool, len(identities))
	for _, identity := range identities {
		wanted[identity] = true
	}
	inFiles, err = s.rewriteFiles(ctx, audience, false, func() changeRow {
		erased = map[string]int64{}
		return func(e *memberRow) bool {
			if e.member || e.doubt || !wanted[e.identity] {
				return true
			}
			erased[strings.Clone(e.identity)] = int64(len(e.added))
			return false
		}
	})
	return erased, inFiles, err
}

// matchingIdentities returns the identities of an audience that match accepts.
func (s *Store) matchingIdentities(ctx context.Context, audience int64, match func(string) bool) (list []string, err error) {
	err = s.withMemberFiles(ctx, s.db, audience, unknownMerge, func(files []*sortedfile.Reader) error {
		list = nil
		add := func(identity string) {
			if match(identity) {
				list = append(list, identity)
			}
		}
		if len(files) > 0 {
			return eachVersion(files, "", func(identity string, _ []string) error { add(strings.Clone(identity)); return nil })
		}
		return eachRow(ctx, s.db, func(rows *sql.Rows) error {
			var identity string
			err := rows.Scan(&identity)
			add(fromSQL.Replace(identity))
			return err
		}, `SELECT identity FROM members WHERE audience = $1`, audience)
	})
	return list, err
}

// ErrScrubBusy means that the file could not be scrubbed completely, since others were reading it.
var ErrScrubBusy = errors.New("the state is being read, so deleted data may still be in its files: try again")

// Scrub rewrites a SQLite file, empties its write-ahead log and deletes unfinished member files, so that nothing is left of deleted rows. It needs as
// much free space as the file has, and writes wait for it. In PostgreSQL it makes the space of deleted rows available again; the server's own
// write-ahead log keeps them until it is recycled.
func (s *Store) Scrub(ctx context.Context) error {
	if !s.IsLocal() {
		for _, table := range []string{"members", "history", "member_parts", "journal", "unmerged", "doubts", "state", "erasures"} {
			if _, err := s.db.ExecContext(ctx, "VACUUM "+table); err != nil {
				return fault.StateUnavailable("vacuuming the state", err)
			}
		}
		return nil
	}
	if err := s.removeLeftOvers(ctx); err != nil {
		return fault.StateUnavailable("deleting unfinished member files", err)
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
