package state

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/internal/storedtime"
)

// The journal holds what happened, for people: verdicts, rejected events, changes by operators. Programs of earlier versions ignore the
// table, so it has no version of its own. low and high are the first and the last page of the log that an entry is about.
const createJournal = `CREATE TABLE journal (
  id   {serial},
  kind TEXT   NOT NULL,
  at   BIGINT NOT NULL, -- microseconds since 1970
  low  BIGINT NOT NULL,
  high BIGINT NOT NULL,
  size BIGINT NOT NULL, -- bytes of data
  data TEXT   NOT NULL
)`

const indexJournal = `CREATE INDEX journal_kind ON journal (kind, id)`

// JournalEntry is one entry of the journal.
type JournalEntry struct {
	ID        int64 // set by the database, in the order of writing
	Kind      string
	At        time.Time
	Low, High uint64 // the pages of the log that the entry is about; 0 for none
	Data      string
}

// JournalQuery selects entries of the journal.
type JournalQuery struct {
	Kinds []string  // at least one
	Since time.Time // not older; zero for all
	Until time.Time // older; zero for all
	Limit int       // the newest ones only; 0 for all
	Seqs  []uint64  // about one of these pages; nil for all
}

// addJournal adds the journal if the database lacks it.
func (s *Store) addJournal(ctx context.Context, tx *sql.Tx) error {
	var n int
	if err := tx.QueryRowContext(ctx, s.dialect.countColumns, "journal", "data").Scan(&n); err != nil || n > 0 {
		return err
	}
	for _, statement := range []string{s.dialect.schema.Replace(createJournal), indexJournal} {
		if _, err := tx.ExecContext(ctx, statement); err != nil {
			return err
		}
	}
	return nil
}

// AppendJournal adds entries to the journal, all or none.
func (s *Store) AppendJournal(ctx context.Context, entries []JournalEntry) error {
	if len(entries) == 0 {
		return nil
	}
	err := s.inTransaction(ctx, func(tx *sql.Tx) error {
		insert, err := tx.PrepareContext(ctx, `INSERT INTO journal (kind, at, low, high, size, data) VALUES ($1, $2, $3, $4, $5, $6)`)
		if err != nil {
			return err
		}
		defer insert.Close()
		for i := range entries {
			e := &entries[i]
			if _, err := insert.ExecContext(ctx, e.Kind, e.At.UnixMicro(), int64(e.Low), int64(e.High), len(e.Data), toSQL.Replace(e.Data)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fault.StateUnavailable("writing the journal", err)
	}
	return nil
}

// Journal calls visit for the entries of a query, newest first, until it returns false.
func (s *Store) Journal(ctx context.Context, q JournalQuery, visit func(JournalEntry) (more bool)) error {
	conditions, args := journalConditions(q)
	statement := `SELECT id, kind, at, low, high, data FROM journal WHERE ` + conditions + ` ORDER BY id DESC`
	if q.Limit > 0 && q.Seqs == nil {
		statement += fmt.Sprintf(" LIMIT %d", q.Limit)
	}
	rows, err := s.db.QueryContext(ctx, statement, args...)
	if err != nil {
		return fault.StateUnavailable("reading the journal", err)
	}
	defer rows.Close()
	n := 0
	for rows.Next() {
		e, err := scanJournal(rows)
		if err != nil {
			return fault.StateUnavailable("reading the journal", err)
		}
		if q.Seqs != nil && !e.concerns(q.Seqs) {
			continue
		}
		if n++; q.Limit > 0 && n > q.Limit || !visit(e) {
			return nil
		}
	}
	if err := rows.Err(); err != nil {
		return fault.StateUnavailable("reading the journal", err)
	}
	return nil
}

// journalConditions returns the conditions of a query in SQL, with their arguments.
func journalConditions(q JournalQuery) (string, []any) {
	var args []any
	add := func(v any) string {
		args = append(args, v)
		return fmt.Sprintf("$%d", len(args))
	}
	marks := make([]string, len(q.Kinds))
	for i, kind := range q.Kinds {
		marks[i] = add(kind)
	}
	conditions := []string{"kind IN (" + strings.Join(marks, ", ") + ")"}
	if !q.Since.IsZero() {
		conditions = append(conditions, "at >= "+add(q.Since.UnixMicro()))
	}
	if !q.Until.IsZero() {
		conditions = append(conditions, "at < "+add(q.Until.UnixMicro()))
	}
	if low, high := bounds(q.Seqs); high > 0 {
		conditions = append(conditions, "high >= "+add(int64(low)), "low <= "+add(int64(high)))
	}
	return strings.Join(conditions, " AND "), args
}

// bounds returns the smallest and the largest of the sequences.
func bounds(seqs []uint64) (low, high uint64) {
	for i, seq := range seqs {
		if i == 0 || seq < low {
			low = seq
		}
		high = max(high, seq)
	}
	return low, high
}

// concerns reports whether one of the pages is among those that the entry is about.
func (e *JournalEntry) concerns(seqs []uint64) bool {
	for _, seq := range seqs {
		if seq >= e.Low && seq <= e.High {
			return true
		}
	}
	return false
}

func scanJournal(rows *sql.Rows) (e JournalEntry, err error) {
	var at, low, high int64
	err = rows.Scan(&e.ID, &e.Kind, &at, &low, &high, &e.Data)
	e.At, e.Low, e.High, e.Data = time.UnixMicro(at).UTC(), uint64(low), uint64(high), fromSQL.Replace(e.Data)
	return e, err
}

// NewestEntry returns the time of the newest entry of the journal, zero if there is none.
func (s *Store) NewestEntry(ctx context.Context) (time.Time, error) {
	var at int64
	err := s.db.QueryRowContext(ctx, `SELECT at FROM journal ORDER BY id DESC LIMIT 1`).Scan(&at)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return time.Time{}, nil
	case err != nil:
		return time.Time{}, fault.StateUnavailable("reading the journal", err)
	}
	return time.UnixMicro(at).UTC(), nil
}

// TrimJournal deletes the entries of a kind that are older than keep, unless that is 0, and the oldest ones beyond a number of bytes. Entries that were
// written while the clock was ahead are deleted with those behind them.
func (s *Store) TrimJournal(ctx context.Context, kind string, now time.Time, keep time.Duration, maxBytes int64) error {
	before := int64(math.MinInt64)
	if keep > 0 {
		before = now.Add(-keep).UnixMicro()
	}
	_, err := s.db.ExecContext(ctx, `DELETE FROM journal WHERE kind = $1 AND (at < $2
		OR at > $3 AND id < (SELECT COALESCE(MAX(id), 0) FROM journal WHERE kind = $1 AND at < $2)
		OR id <= (SELECT COALESCE(MAX(id), 0) FROM (SELECT id, SUM(size) OVER (ORDER BY id DESC) AS total FROM journal WHERE kind = $1) AS sums WHERE total > $4))`,
		kind, before, now.Add(storedtime.MaxLead).UnixMicro(), maxBytes)
	if err != nil {
		return fault.StateUnavailable("trimming the journal", err)
	}
	return nil
}
