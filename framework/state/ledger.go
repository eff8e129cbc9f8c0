package state

import (
	"context"
	"database/sql"
	"errors"

	"github.com/landfall-dev/landfall/framework/fault"
)

// Ledger is the state of one destination instance. It implements destination.State and destination.Members, and has further
// methods for the commands on members. It is safe for concurrent use.
type Ledger struct {
	store    *Store
	instance string
}

// Ledger returns the ledger of an instance, by its id in the config.
func (s *Store) Ledger(instance string) *Ledger { return &Ledger{s, toSQL.Replace(instance)} }

// Get returns the value of a key; ok is false if the key is not set.
func (l *Ledger) Get(ctx context.Context, key string) (value string, ok bool, err error) {
	err = l.store.db.QueryRowContext(ctx, `SELECT value FROM state WHERE instance = $1 AND key = $2`, l.instance, toSQL.Replace(key)).Scan(&value)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return "", false, nil
	case err != nil:
		return "", false, fault.StateUnavailable("reading the state", err)
	}
	return fromSQL.Replace(value), true, nil
}

// Put sets the value of a key.
func (l *Ledger) Put(ctx context.Context, key, value string) error {
	_, err := l.store.db.ExecContext(ctx, `INSERT INTO state (instance, key, value) VALUES ($1, $2, $3)
		ON CONFLICT (instance, key) DO UPDATE SET value = excluded.value`, l.instance, toSQL.Replace(key), toSQL.Replace(value))
	if err != nil {
		return fault.StateUnavailable("writing the state", err)
	}
	return nil
}

// Swap sets the value of a key if its current value is old, and reports whether it did. "" stands for no value on both sides.
func (l *Ledger) Swap(ctx context.Context, key, old, value string) (ok bool, err error) {
	statement, args := `UPDATE state SET value = $4 WHERE instance = $1 AND key = $2 AND value = $3`, []any{l.instance, toSQL.Replace(key), toSQL.Replace(old), toSQL.Replace(value)}
	switch {
	case old == "" && value == "":
		_, exists, err := l.Get(ctx, key)
		return !exists, err
	case old == "":
		statement, args = `INSERT INTO state (instance, key, value) VALUES ($1, $2, $3) ON CONFLICT (instance, key) DO NOTHING`, []any{args[0], args[1], args[3]}
	case value == "":
		statement, args = `DELETE FROM state WHERE instance = $1 AND key = $2 AND value = $3`, args[:3]
	}
	n, err := execCount(ctx, l.store.db, statement, args...)
	if err != nil {
		return false, fault.StateUnavailable("writing the state", err)
	}
	return n == 1, nil
}
