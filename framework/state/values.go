package state

import (
	"context"
	"database/sql"
	"errors"

	"github.com/landfall-dev/landfall/framework/fault"
)

// Ledger is what one instance of a destination keeps: a destination.State and a destination.Members, and what the commands
// on members ask beside these.
type Ledger struct {
	store    *Store
	instance string
}

// Ledger is that of an instance, by its id in the config.
func (s *Store) Ledger(instance string) *Ledger { return &Ledger{s, toSQL.Replace(instance)} }

// Get is the value of a key.
func (l *Ledger) Get(ctx context.Context, key string) (value string, ok bool, err error) {
	err = l.store.db.QueryRowContext(ctx, `SELECT value FROM state WHERE instance = $1 AND key = $2`, l.instance, toSQL.Replace(key)).Scan(&value)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return "", false, nil
	case err != nil:
		return "", false, fault.NoState("reading the state", err)
	}
	return fromSQL.Replace(value), true, nil
}

// Put sets the value of a key.
func (l *Ledger) Put(ctx context.Context, key, value string) error {
	_, err := l.store.db.ExecContext(ctx, `INSERT INTO state (instance, key, value) VALUES ($1, $2, $3)
		ON CONFLICT (instance, key) DO UPDATE SET value = excluded.value`, l.instance, toSQL.Replace(key), toSQL.Replace(value))
	if err != nil {
		return fault.NoState("writing the state", err)
	}
	return nil
}
