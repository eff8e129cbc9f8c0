package state

import (
	"context"
	"database/sql"
	"maps"
	"math"
	"slices"
	"sync"
)

// merger merges the unmerged writes of one audience after the other. It saves their rows in portions, each in its own transaction, so that
// no reader or writer waits for a whole merge. Every write is followed by a portion of twice its rows, which bounds the unmerged writes.
type merger struct {
	mu       sync.Mutex
	starting bool         // current is being read; writers do not wait for that
	current  *ledgerMerge // nil if there is none
}

// ledgerMerge is a merge of the unmerged writes that an audience had when it began. Newer ones stay unmerged. Until the last portion is
// saved, the unmerged writes are what counts, so a merge that ends early does no harm, and another one may save the same rows again.
type ledgerMerge struct {
	key      recentKey
	audience int64        // id of the audience's row
	merged   int64        // audiences.merged when the merge began: if it is another one, the merge must not continue
	until    int64        // last unmerged write that is merged
	rows     []*memberRow // that are not saved yet, in the order of the primary key
}

// defaultPortion is the least number of rows that are merged at once: with fewer, their commits would be the cost.
const defaultPortion = 1000

// limitUnmerged limits the unmerged writes before a write of n rows to an audience: it merges a portion of them, or starts to write them to a file.
func (l *Ledger) limitUnmerged(ctx context.Context, id string, n int) error {
	key, err := l.store.limitByFlush(ctx, recentKey{l.instance, id})
	if err != nil {
		return err
	}
	g := &l.store.merger
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.starting {
		return nil
	}
	if g.current == nil {
		if key == (recentKey{}) {
			return nil
		}
		g.starting = true
		g.mu.Unlock()
		m, err := l.store.startMerge(ctx, key)
		g.mu.Lock()
		g.starting = false
		if m == nil || err != nil {
			return err
		}
		g.current = m
	}
	m := g.current
	more, err := l.store.mergePortion(ctx, m, max(2*n, l.store.limits.portion))
	if err != nil || !more {
		g.current = nil
	}
	if err != nil {
		l.store.recentOf(m.key.instance, m.key.audience).abandonMerge()
	}
	return err
}

// mergeCandidate returns which audience should be merged before a write to one: itself if it has too many unmerged writes, or the one that
// has most if all together have too many.
func (s *Store) mergeCandidate(written recentKey) (recentKey, bool) {
	if s.recentOf(written.instance, written.audience).unmergedSize() > s.limits.unmerged {
		return written, true
	}
	if s.unmergedTotal.Load() <= s.limits.unmergedTotal {
		return recentKey{}, false
	}
	return s.largestUnmerged()
}

// startMerge reads the unmerged writes of an audience. It returns nil if it has none in memory.
func (s *Store) startMerge(ctx context.Context, key recentKey) (*ledgerMerge, error) {
	recent := s.recentOf(key.instance, key.audience)
	m := recent.beginMerge()
	if m == nil {
		return nil, nil
	}
	m.key = key
	rows, _, err := unmergedRows(ctx, s.hot, m.audience, m.merged, m.until)
	if err != nil {
		recent.abandonMerge()
		return nil, err
	}
	m.rows = rows.all()
	return m, nil
}

// mergePortion saves the next n rows of a merge. It reports whether there are more.
func (s *Store) mergePortion(ctx context.Context, m *ledgerMerge, n int) (more bool, err error) {
	portion := m.rows[:min(n, len(m.rows))]
	last := len(portion) == len(m.rows)
	recent, l := s.recentOf(m.key.instance, m.key.audience), &Ledger{s, m.key.instance}
	valid := false
	err = s.inTransaction(ctx, func(tx *sql.Tx) error {
		row, err := l.findAudience(ctx, tx, m.key.audience, s.dialect.rowLock)
		if err != nil || row.id != m.audience || row.merged != m.merged {
			return ignoreMissing(err)
		}
		inFiles, err := hasMemberFiles(ctx, tx, m.audience) // then rows in the tables do not count
		if valid = err == nil && !inFiles; !valid {
			return err
		}
		if err := s.saveRows(ctx, tx, m.audience, portion); err != nil || !last {
			return err
		}
		recent.saveMerge(m)
		return endMerge(ctx, tx, m.audience, m.until)
	})
	switch {
	case err != nil:
		return false, err
	case !valid: // it was merged, changed or deleted otherwise
		recent.forget()
		return false, nil
	case last:
		recent.finishMerge(m)
		s.limitRead()
	}
	m.rows = m.rows[len(portion):]
	return !last, nil
}

// endMerge deletes the unmerged writes of an audience up to one, whose rows are saved.
func endMerge(ctx context.Context, tx *sql.Tx, audience, until int64) error {
	if _, err := tx.ExecContext(ctx, `DELETE FROM unmerged WHERE audience = $1 AND id <= $2`, audience, until); err != nil {
		return err
	}
	_, err := tx.ExecContext(ctx, `UPDATE audiences SET merged = $2 WHERE id = $1`, audience, until)
	return err
}

// unmergedRows returns the rows of an audience's unmerged writes after one and up to another, and the id of the last of these writes, or after if there
// is none.
func unmergedRows(ctx context.Context, q querier, audience, after, until int64) (rows *rowVersions, last int64, err error) {
	_, writes, err := readPending(ctx, q, audience, after)
	if err != nil {
		return nil, after, err
	}
	writes = slices.DeleteFunc(writes, func(w unmergedWrite) bool { return w.id > until })
	if last = after; len(writes) > 0 {
		last = writes[len(writes)-1].id
	}
	rows, err = newRowVersions(writes)
	return rows, last, err
}

// sortedRows returns rows in the order of the primary key.
func sortedRows(rows map[string]*memberRow) []*memberRow {
	sorted := make([]*memberRow, 0, len(rows))
	for _, identity := range slices.Sorted(maps.Keys(rows)) {
		sorted = append(sorted, rows[identity])
	}
	return sorted
}

// mergeWrites saves the unmerged writes of an audience in their tables, and empties it. The audience must be locked.
func (s *Store) mergeWrites(ctx context.Context, tx *sql.Tx, audience int64) error {
	rows, last, err := unmergedRows(ctx, tx, audience, 0, math.MaxInt64)
	if err != nil || last == 0 {
		return err
	}
	if err := s.saveRows(ctx, tx, audience, rows.all()); err != nil {
		return err
	}
	return endMerge(ctx, tx, audience, last)
}
