package state

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/landfall-dev/landfall/framework/fault"
)

// createErasures creates the table of erasures. It has no version, since earlier programs ignore it. sealed holds the identifiers, encrypted,
// until the erasure is done; doc is what may stay. The row without an id is the lease of the process that carries the erasures out.
const createErasures = `CREATE TABLE IF NOT EXISTS erasures (id TEXT NOT NULL PRIMARY KEY, at BIGINT NOT NULL, done BIGINT NOT NULL,
  sealed TEXT NOT NULL, doc TEXT NOT NULL, changes BIGINT NOT NULL, holder TEXT NOT NULL, until BIGINT NOT NULL)`

// indexErasures makes the few that are not done quick to find among many receipts.
const indexErasures = `CREATE INDEX IF NOT EXISTS erasures_done ON erasures (done, changes, at)`

// Erasure is the stored form of a request to erase a user.
type Erasure struct {
	ID     string
	At     time.Time // only what was received until then is erased
	Done   time.Time // zero until it is done
	Sealed string    // "" when it is done
	Doc    string
}

// ErrErasureGone means that an erasure is done or was deleted.
var ErrErasureGone = errors.New("the erasure is done or was deleted")

// AddErasures stores erasures, all or none. It returns false if more than most would not be done.
func (s *Store) AddErasures(ctx context.Context, list []Erasure, most int) (added bool, err error) {
	err = s.inTransaction(ctx, func(tx *sql.Tx) error {
		var pending int
		if err := tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM erasures WHERE id <> '' AND done = 0`).Scan(&pending); err != nil {
			return err
		}
		if added = pending+len(list) <= most; !added {
			return nil
		}
		for _, e := range list {
			_, err := tx.ExecContext(ctx, `INSERT INTO erasures (id, at, done, sealed, doc, changes, holder, until) VALUES ($1, $2, 0, $3, $4, 0, '', 0)`,
				e.ID, e.At.UnixMicro(), e.Sealed, toSQL.Replace(e.Doc))
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return false, fault.StateUnavailable("writing erasures", err)
	}
	return added, nil
}

// UpdateErasure replaces what is stored of an erasure that is not done.
func (s *Store) UpdateErasure(ctx context.Context, e Erasure) error {
	done := int64(0)
	if !e.Done.IsZero() {
		done = e.Done.UnixMicro()
	}
	n, err := execCount(ctx, s.db, `UPDATE erasures SET done = $2, sealed = $3, doc = $4, changes = changes + 1 WHERE id = $1 AND done = 0`,
		e.ID, done, e.Sealed, toSQL.Replace(e.Doc))
	if err != nil {
		return fault.StateUnavailable("writing an erasure", err)
	}
	if n == 0 {
		return ErrErasureGone
	}
	return nil
}

// Erasures returns the erasures that are not done, or were done since a time, the newest first; with the zero time, all.
func (s *Store) Erasures(ctx context.Context, since time.Time) ([]Erasure, error) {
	return s.selectErasures(ctx, `(done = 0 OR done >= $1) ORDER BY at DESC, id`, since.UnixMicro())
}

// PendingErasures returns the erasures that are not done, the oldest first.
func (s *Store) PendingErasures(ctx context.Context) ([]Erasure, error) {
	return s.selectErasures(ctx, `done = 0 ORDER BY at, id`)
}

// LatestErasures returns some erasures: first those that are not done, then the newest others.
func (s *Store) LatestErasures(ctx context.Context, limit int) ([]Erasure, error) {
	return s.selectErasures(ctx, `done >= 0 ORDER BY CASE WHEN done = 0 THEN 0 ELSE 1 END, at DESC, id LIMIT $1`, limit)
}

// ErasureByID returns the erasure with an id; false if there is none.
func (s *Store) ErasureByID(ctx context.Context, id string) (e Erasure, ok bool, err error) {
	list, err := s.selectErasures(ctx, `id = $1`, id)
	if err != nil || len(list) == 0 {
		return e, false, err
	}
	return list[0], true, nil
}

// selectErasures returns the erasures that a condition selects, in its order.
func (s *Store) selectErasures(ctx context.Context, condition string, args ...any) ([]Erasure, error) {
	var list []Erasure
	err := eachRow(ctx, s.db, func(rows *sql.Rows) error {
		var e Erasure
		var at, done int64
		if err := rows.Scan(&e.ID, &at, &done, &e.Sealed, &e.Doc); err != nil {
			return err
		}
		e.At, e.Doc = time.UnixMicro(at).UTC(), fromSQL.Replace(e.Doc)
		if done > 0 {
			e.Done = time.UnixMicro(done).UTC()
		}
		list = append(list, e)
		return nil
	}, `SELECT id, at, done, sealed, doc FROM erasures WHERE id <> '' AND `+condition, args...)
	if err != nil {
		return nil, fault.StateUnavailable("reading the erasures", err)
	}
	return list, nil
}

// ErasuresVersion returns a text that changes when an erasure is added, changed or done. It costs less than reading them.
func (s *Store) ErasuresVersion(ctx context.Context) (string, error) {
	var count, newest, changes, done int64
	err := s.db.QueryRowContext(ctx, `SELECT COUNT(*), COALESCE(MAX(at), 0), COALESCE(SUM(changes), 0), (SELECT COALESCE(MAX(done), 0) FROM erasures)
		FROM erasures WHERE done = 0`).Scan(&count, &newest, &changes, &done) // with the lease, which does not change
	if err != nil {
		return "", fault.StateUnavailable("reading the erasures", err)
	}
	return fmt.Sprint(count, " ", newest, " ", changes, " ", done), nil
}

// TrimErasures deletes the erasures that were done before a time.
func (s *Store) TrimErasures(ctx context.Context, before time.Time) error {
	if _, err := s.db.ExecContext(ctx, `DELETE FROM erasures WHERE id <> '' AND done > 0 AND done < $1`, before.UnixMicro()); err != nil {
		return fault.StateUnavailable("deleting receipts of erasures", err)
	}
	return nil
}

// HoldErasures takes or renews the lease of the process that carries out erasures, unless another process has it. It reports whether holder
// has it now.
func (s *Store) HoldErasures(ctx context.Context, holder string, lease time.Duration) (held bool, err error) {
	_, err = s.db.ExecContext(ctx, `INSERT INTO erasures (id, at, done, sealed, doc, changes, holder, until) VALUES ('', 0, 0, '', '', 0, '', 0) ON CONFLICT (id) DO NOTHING`)
	if err != nil {
		return false, fault.StateUnavailable("locking the erasures", err)
	}
	n, err := execCount(ctx, s.db, s.dialect.query.Replace(`UPDATE erasures SET holder = $1, until = {now} + $2 WHERE id = '' AND (holder = $1 OR until < {now})`),
		holder, lease.Milliseconds())
	if err != nil {
		return false, fault.StateUnavailable("locking the erasures", err)
	}
	return n == 1, nil
}

// ReleaseErasures ends the lease of a process, so that another one need not wait.
func (s *Store) ReleaseErasures(ctx context.Context, holder string) error {
	_, err := s.db.ExecContext(ctx, `UPDATE erasures SET until = 0 WHERE id = '' AND holder = $1`, holder)
	return err
}
