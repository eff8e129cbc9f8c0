package state

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
)

// Scratch is a set of identities on disk, for comparing more of them than fit into memory. It is gone when it is closed.
// It is not safe for concurrent use.
type Scratch struct {
	db   *sql.DB
	home string
}

// NewScratch makes an empty set in the system's temporary directory.
func NewScratch(ctx context.Context) (*Scratch, error) {
	home, err := os.MkdirTemp("", "landfall-scratch")
	if err != nil {
		return nil, fmt.Errorf("making a scratch file: %w", err)
	}
	pragmas := url.Values{"_pragma": {"journal_mode(OFF)", "synchronous(OFF)", "cache_size(-65536)"}}
	db, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Path: filepath.Join(home, "scratch.db"), RawQuery: pragmas.Encode()}).String())
	if err == nil {
		db.SetMaxOpenConns(1)
		_, err = db.ExecContext(ctx, `CREATE TABLE rows (identity TEXT PRIMARY KEY) WITHOUT ROWID`)
	}
	s := &Scratch{db, home}
	if err != nil {
		_ = s.Close()
		return nil, fmt.Errorf("making a scratch file: %w", err)
	}
	return s, nil
}

// Close removes the set.
func (s *Scratch) Close() error {
	if s.db != nil {
		_ = s.db.Close()
	}
	return os.RemoveAll(s.home)
}

// Add adds identities and tells how many were new.
func (s *Scratch) Add(ctx context.Context, identities []string) (added int, err error) {
	result, err := s.db.ExecContext(ctx, `INSERT INTO rows (identity) SELECT j.value ->> 0 FROM json_each($1) AS j WHERE true
		ON CONFLICT (identity) DO NOTHING`, identityRows(identities))
	if err != nil {
		return 0, fmt.Errorf("writing the scratch file: %w", err)
	}
	n, err := result.RowsAffected()
	return int(n), err
}

// page is the identities behind one, in the order of bytes; all of them from the start where first is set.
func (s *Scratch) page(ctx context.Context, after string, first bool) ([]string, error) {
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

// Compare calls f with everybody who is in the scratch, in the ledger's audience, or in both, in the order of bytes. A
// Standing that is the ledger's has its identity.
func (l *Ledger) Compare(ctx context.Context, audienceID string, s *Scratch, f func(identity string, listed bool, standing Standing) error) error {
	list := &list{scratch: s}
	if err := list.next(ctx); err != nil {
		return err
	}
	err := l.Each(ctx, audienceID, "", func(standing Standing) error {
		for list.ok && list.identity < standing.Identity {
			if err := f(list.identity, true, Standing{}); err != nil {
				return err
			}
			if err := list.next(ctx); err != nil {
				return err
			}
		}
		if list.ok && list.identity == standing.Identity {
			if err := f(standing.Identity, true, standing); err != nil {
				return err
			}
			return list.next(ctx)
		}
		return f(standing.Identity, false, standing)
	})
	for err == nil && list.ok {
		if err = f(list.identity, true, Standing{}); err == nil {
			err = list.next(ctx)
		}
	}
	return err
}

// list walks through a scratch.
type list struct {
	scratch  *Scratch
	page     []string
	begun    bool
	identity string
	ok       bool
}

func (l *list) next(ctx context.Context) error {
	if len(l.page) == 0 {
		page, err := l.scratch.page(ctx, l.identity, !l.begun)
		if err != nil {
			return err
		}
		l.page, l.begun = page, true
	}
	if l.ok = len(l.page) > 0; l.ok {
		l.identity, l.page = l.page[0], l.page[1:]
	}
	return nil
}
