package state

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"math"
	"slices"
	"time"

	"github.com/landfall-dev/landfall/framework/fault"
)

// Each write of an audience since its last merge is one row of this table, with the new rows of members and history. A merge saves
// them in their tables: many changes of a table's page then cost one write, and identities that change often are saved once. The column
// merged of the audience is the id of the last row that was merged; it also changes if the table members is changed in another way.
const createUnmerged = `CREATE TABLE unmerged (
  audience BIGINT NOT NULL,
  id       BIGINT NOT NULL, -- ascending within the audience, above audiences.merged
  changes  {blob} NOT NULL, -- see encodeWrite
  PRIMARY KEY (audience, id)
) {clustered}`

// recentLimits limit what is in the unmerged writes and in memory. A row takes 40 to 100 bytes in the unmerged writes, and about 20 more in memory.
type recentLimits struct {
	unmerged      int64 // bytes of the unmerged writes of an audience above which writes merge it, in portions
	unmergedTotal int64 // bytes of all unmerged writes that the process has written or read
	flush         int64 // bytes of the unmerged writes of an audience from which they are merged to a file and not to the tables
	read          int64 // bytes of rows in memory that were read or merged, in addition to those of the unmerged writes
	portion       int   // rows that are merged at once, at least
	reuse         int64 // identities in replaced files of a PostgreSQL database from which their space is made available: 20 MB
}

var defaultLimits = recentLimits{unmerged: 4 << 20, unmergedTotal: 48 << 20, flush: 1 << 20, read: 48 << 20, portion: defaultPortion, reuse: 400_000}

// unmergedWrite is an unmerged write.
type unmergedWrite struct {
	id      int64
	changes string
}

// encodeWrite encodes the changed rows with the history that is added to them.
func encodeWrite(rows map[string]*memberRow) []byte {
	now := time.Now().UnixMicro()
	data := binary.AppendVarint(make([]byte, 0, 64*len(rows)), now)
	empty := len(data)
	for _, e := range rows {
		if e.changed {
			data = encodeRow(data, e, now)
		}
	}
	if len(data) == empty {
		return nil
	}
	return data
}

// rowText is the rows of a write, in the form of encodeWrite.
type rowText struct {
	text string
	base int64 // which the times are differences from
}

// newRowText returns the rows of a write.
func newRowText(changes string) rowText {
	return rowText{changes, (&rowReader{rest: changes}).varint()}
}

// each calls visit for every row, with its place. The identities refer to the text.
func (x *rowText) each(visit func(identity string, at uint32)) error {
	r := &rowReader{rest: x.text, damaged: len(x.text) > math.MaxUint32}
	for r.varint(); len(r.rest) > 0; {
		at := len(x.text) - len(r.rest)
		identity := r.text()
		if r.skipValue(); !r.damaged {
			visit(identity, uint32(at))
		}
	}
	if r.damaged {
		return errDamaged
	}
	return nil
}

// identity returns the identity of the row at a place.
func (x *rowText) identity(at uint32) string { return (&rowReader{rest: x.text[at:]}).text() }

// state returns the row at a place without its history.
func (x *rowText) state(at uint32) compactRow {
	r := &rowReader{rest: x.text[at:]}
	r.text()
	c, _ := r.decodeState(x.base)
	return c
}

// history returns the history of the row at a place.
func (x *rowText) history(at uint32) []historyRow {
	r := &rowReader{rest: x.text[at:]}
	r.text()
	_, last := r.decodeState(x.base)
	return r.appendHistory(nil, last)
}

// readPending returns, from one snapshot, the requests of an audience in flight and the rows of its unmerged writes after an id, oldest first.
func readPending(ctx context.Context, q querier, audience, after int64) (doubts []doubtRow, writes []unmergedWrite, err error) {
	rows, err := q.QueryContext(ctx, `SELECT 0 AS kind, id, changes FROM doubts WHERE audience = $1
		UNION ALL SELECT 1, id, changes FROM unmerged WHERE audience = $1 AND id > $2`, audience, after)
	if err != nil {
		return nil, nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var kind, id int64
		var data sql.RawBytes
		if err := rows.Scan(&kind, &id, &data); err != nil {
			return nil, nil, err
		}
		if kind == 1 {
			writes = append(writes, unmergedWrite{id, string(data)})
			continue
		}
		changes, err := decodeSent(data)
		if err != nil {
			return nil, nil, err
		}
		doubts = append(doubts, doubtRow{audience, id, changes})
	}
	slices.SortFunc(doubts, func(a, b doubtRow) int { return cmp.Compare(a.id, b.id) }) // in the database, sorting would copy the changes
	slices.SortFunc(writes, func(a, b unmergedWrite) int { return cmp.Compare(a.id, b.id) })
	return doubts, writes, rows.Err()
}

// settle moves the requests of an audience in flight to the rows of its identities, and merges its unmerged writes.
func (l *Ledger) settle(ctx context.Context, id string) error {
	for range maxAttempts {
		settled, err := l.trySettle(ctx, id)
		if settled || err != nil {
			return err
		}
	}
	return errBusy
}

// trySettle is settle. settled is false if other processes have changed the audience meanwhile.
func (l *Ledger) trySettle(ctx context.Context, id string) (settled bool, err error) {
	a, err := l.findAudience(ctx, l.store.hot, id, "")
	if err != nil {
		return true, ignoreMissing(err)
	}
	var pending bool
	err = l.store.hot.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM doubts WHERE audience = $1) OR EXISTS (SELECT 1 FROM unmerged WHERE audience = $1)`,
		a.id).Scan(&pending)
	if err != nil || !pending {
		return true, err
	}
	inFiles := false
	err = l.store.inTransaction(ctx, func(tx *sql.Tx) error {
		row, err := l.findAudience(ctx, tx, id, l.store.dialect.rowLock)
		if err != nil {
			return ignoreMissing(err)
		}
		if err := l.moveAllDoubts(ctx, tx, id, row); err != nil {
			return err
		}
		if inFiles, err = l.store.mergesToFile(ctx, tx, row.id); inFiles || err != nil {
			return err
		}
		return l.store.mergeWrites(ctx, tx, row.id)
	})
	if err != nil || !inFiles {
		return true, err
	}
	return l.store.mergeToFile(ctx, a.id)
}

// moveAllDoubts moves the requests of a locked audience in flight to the rows of its identities.
func (l *Ledger) moveAllDoubts(ctx context.Context, tx *sql.Tx, id string, row *audienceRow) error {
	t, err := l.newLockedAudience(ctx, tx, id, row)
	if err != nil {
		return err
	}
	doubts, _, err := readPending(ctx, tx, row.id, 0)
	if err != nil {
		return err
	}
	return t.moveDoubts(ctx, doubts)
}

// ignoreMissing returns nil for sql.ErrNoRows.
func ignoreMissing(err error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	return err
}

// mergeAllWrites merges the unmerged writes of the audiences that are not merged to files, each in its own transaction.
func (s *Store) mergeAllWrites(ctx context.Context) error {
	audiences, err := listColumn[int64](ctx, s.hot, `SELECT DISTINCT audience FROM unmerged`)
	for _, audience := range audiences {
		if err == nil {
			err = s.inTransaction(ctx, func(tx *sql.Tx) error {
				if inFiles, err := s.mergesToFile(ctx, tx, audience); inFiles || err != nil {
					return err
				}
				return s.mergeForUpdate(ctx, tx, []int64{audience})
			})
		}
	}
	if err != nil {
		return fault.StateUnavailable("merging the writes of the ledger", err)
	}
	return nil
}

// mergeForUpdate locks audiences and merges their unmerged writes to the tables, before their rows are changed there without it. Rows in files are
// moved to the tables.
func (s *Store) mergeForUpdate(ctx context.Context, tx *sql.Tx, audiences []int64) error {
	for _, audience := range audiences {
		if _, err := tx.ExecContext(ctx, lockByID, audience); err != nil {
			return err
		}
		if err := s.moveToTables(ctx, tx, audience); err != nil {
			return err
		}
		if err := s.mergeWrites(ctx, tx, audience); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, rowsChanged, audience); err != nil {
			return err
		}
	}
	return nil
}

// lockByID locks the row of an audience.
const lockByID = `UPDATE audiences SET members = members WHERE id = $1`

// rowsChanged says that the rows of an audience were changed without its unmerged writes, so that processes forget what they have in memory.
const rowsChanged = `UPDATE audiences SET merged = COALESCE(merged, 0) + 1 WHERE id = $1`

// listColumn returns the only column of a query.
func listColumn[T any](ctx context.Context, q querier, query string, args ...any) (list []T, err error) {
	err = eachRow(ctx, q, func(rows *sql.Rows) error {
		var v T
		err := rows.Scan(&v)
		list = append(list, v)
		return err
	}, query, args...)
	return list, err
}

// unmergedHistory returns the rows of an identity's history that are in the unmerged writes, by their slots.
func unmergedHistory(ctx context.Context, q querier, audience int64, identity string) (map[int64]historyRow, error) {
	_, writes, err := readPending(ctx, q, audience, 0)
	history := map[int64]historyRow{}
	for _, w := range writes {
		text := newRowText(w.changes)
		err = errors.Join(err, text.each(func(name string, at uint32) {
			if name != identity {
				return
			}
			for _, h := range text.history(at) {
				history[h.slot] = h
			}
		}))
	}
	return history, err
}
