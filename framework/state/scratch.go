package state

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
)

// Scratch is a temporary set of identities on disk, to compare more identities than fit into memory. Close deletes it. It is not safe
// for concurrent use.
type Scratch struct {
	db  *sql.DB
	dir string
}

// NewScratch creates an empty set in the system's temporary directory.
func NewScratch(ctx context.Context) (*Scratch, error) {
	dir, err := os.MkdirTemp("", "landfall-scratch")
	if err != nil {
		return nil, fmt.Errorf("creating a scratch file: %w", err)
	}
	pragmas := url.Values{"_pragma": {"journal_mode(OFF)", "synchronous(OFF)", "cache_size(-65536)"}}
	db, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Path: filepath.Join(dir, "scratch.db"), RawQuery: pragmas.Encode()}).String())
	if err == nil {
		db.SetMaxOpenConns(1)
		_, err = db.ExecContext(ctx, `CREATE TABLE rows (identity TEXT PRIMARY KEY) WITHOUT ROWID`)
	}
	s := &Scratch{db, dir}
	if err != nil {
		_ = s.Close()
		return nil, fmt.Errorf("creating a scratch file: %w", err)
	}
	return s, nil
}

// Close deletes the set.
func (s *Scratch) Close() error {
	if s.db != nil {
		_ = s.db.Close()
	}
	return os.RemoveAll(s.dir)
}

// Add adds identities and returns how many were new.
func (s *Scratch) Add(ctx context.Context, identities []string) (added int, err error) {
	result, err := s.db.ExecContext(ctx, `INSERT INTO rows (identity) SELECT value FROM json_each($1) WHERE true
		ON CONFLICT (identity) DO NOTHING`, identityList(identities))
	if err != nil {
		return 0, fmt.Errorf("writing the scratch file: %w", err)
	}
	n, err := result.RowsAffected()
	return int(n), err
}

// readPage returns up to pageSize identities after the given one, in byte order; from the start if first is set.
func (s *Scratch) readPage(ctx context.Context, after string, first bool) ([]string, error) {
	query := `SELECT identity FROM rows WHERE identity > $1 ORDER BY identity LIMIT $2`
	if first {
		query = `SELECT identity FROM rows WHERE identity >= $1 ORDER BY identity LIMIT $2`
	}
	rows, err := s.db.QueryContext(ctx, query, toSQL.Replace(after), pageSize)
	if err != nil {
		return nil, fmt.Errorf("reading the scratch file: %w", err)
	}
	defer rows.Close()
	page := make([]string, 0, pageSize)
	for rows.Next() {
		var identity string
		if err := rows.Scan(&identity); err != nil {
			return nil, err
		}
		page = append(page, fromSQL.Replace(identity))
	}
	return page, rows.Err()
}

// Compare calls f for every identity in the scratch set, in the ledger's audience, or in both, in byte order. listed says that the
// set has the identity. The membership's Identity is empty if the ledger does not have it.
func (l *Ledger) Compare(ctx context.Context, audienceID string, s *Scratch, f func(identity string, listed bool, membership Membership) error) error {
	list := &scratchCursor{scratch: s}
	if err := list.advance(ctx); err != nil {
		return err
	}
	err := l.Each(ctx, audienceID, "", func(membership Membership) error {
		for list.ok && list.identity < membership.Identity {
			if err := f(list.identity, true, Membership{}); err != nil {
				return err
			}
			if err := list.advance(ctx); err != nil {
				return err
			}
		}
		if list.ok && list.identity == membership.Identity {
			if err := f(membership.Identity, true, membership); err != nil {
				return err
			}
			return list.advance(ctx)
		}
		return f(membership.Identity, false, membership)
	})
	for err == nil && list.ok {
		if err = f(list.identity, true, Membership{}); err == nil {
			err = list.advance(ctx)
		}
	}
	return err
}

// scratchCursor iterates over a Scratch.
type scratchCursor struct {
	scratch  *Scratch
	page     []string
	started  bool
	identity string
	ok       bool
}

// advance moves to the next identity; ok is false at the end.
func (c *scratchCursor) advance(ctx context.Context) error {
	if len(c.page) == 0 {
		page, err := c.scratch.readPage(ctx, c.identity, !c.started)
		if err != nil {
			return err
		}
		c.page, c.started = page, true
	}
	if c.ok = len(c.page) > 0; c.ok {
		c.identity, c.page = c.page[0], c.page[1:]
	}
	return nil
}
