package state

import (
	"context"
	"database/sql"

	"github.com/landfall-dev/landfall/framework/fault"
)

// rewritePage is the number of entries that RewriteJournal reads at a time.
const rewritePage = 500

// RewriteJournal calls visit for each entry of the journal, and replaces or deletes those for which visit says so. It returns how many it has
// changed. Entries that are written meanwhile may be left out.
func (s *Store) RewriteJournal(ctx context.Context, visit func(JournalEntry) (data string, keep bool)) (changed int, err error) {
	for after := int64(0); ; {
		page, err := s.journalAfter(ctx, after)
		if err == nil && len(page) > 0 {
			after = page[len(page)-1].ID
			var n int
			n, err = s.rewriteEntries(ctx, page, visit)
			changed += n
		}
		if err != nil {
			return changed, fault.StateUnavailable("rewriting the journal", err)
		}
		if len(page) == 0 {
			return changed, nil
		}
	}
}

func (s *Store) journalAfter(ctx context.Context, after int64) (page []JournalEntry, err error) {
	err = eachRow(ctx, s.db, func(rows *sql.Rows) error {
		e, err := scanJournal(rows)
		page = append(page, e)
		return err
	}, `SELECT id, kind, at, low, high, data FROM journal WHERE id > $1 ORDER BY id LIMIT $2`, after, rewritePage)
	return page, err
}

// rewriteEntries changes the entries of a page as visit says. It returns how many.
func (s *Store) rewriteEntries(ctx context.Context, page []JournalEntry, visit func(JournalEntry) (string, bool)) (changed int, err error) {
	var replaced, deleted []JournalEntry
	for _, e := range page {
		data, keep := visit(e)
		switch {
		case !keep:
			deleted = append(deleted, e)
		case data != e.Data:
			e.Data = data
			replaced = append(replaced, e)
		}
	}
	if len(replaced)+len(deleted) == 0 {
		return 0, nil
	}
	err = s.inTransaction(ctx, func(tx *sql.Tx) error {
		for _, e := range deleted {
			if _, err := tx.ExecContext(ctx, `DELETE FROM journal WHERE id = $1`, e.ID); err != nil {
				return err
			}
		}
		for _, e := range replaced {
			if _, err := tx.ExecContext(ctx, `UPDATE journal SET data = $2, size = $3 WHERE id = $1`, e.ID, toSQL.Replace(e.Data), len(e.Data)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	return len(replaced) + len(deleted), nil
}

// EraseValues deletes the values of handlers and commands whose key or value matches. It returns how many there were.
func (s *Store) EraseValues(ctx context.Context, match func(text string) bool) (erased int, err error) {
	keys, err := s.matchingValues(ctx, match)
	if err == nil && len(keys) > 0 {
		err = s.inTransaction(ctx, func(tx *sql.Tx) error {
			for _, k := range keys {
				if _, err := tx.ExecContext(ctx, `DELETE FROM state WHERE instance = $1 AND key = $2`, k[0], k[1]); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err != nil {
		return 0, fault.StateUnavailable("erasing values", err)
	}
	return len(keys), nil
}

// matchingValues returns the instances and keys of the values that match, as the database has them.
func (s *Store) matchingValues(ctx context.Context, match func(text string) bool) (keys [][2]string, err error) {
	err = eachRow(ctx, s.db, func(rows *sql.Rows) error {
		var instance, key, value string
		if err := rows.Scan(&instance, &key, &value); err != nil {
			return err
		}
		if match(fromSQL.Replace(key)) || match(fromSQL.Replace(value)) {
			keys = append(keys, [2]string{instance, key})
		}
		return nil
	}, `SELECT instance, key, value FROM state`)
	return keys, err
}
