package state

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"time"

	"github.com/landfall-dev/landfall/framework/destination/oauth"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/internal/pause"
)

// A token row is locked with a lease, not with a transaction: a transaction that stays open during a request to the login server
// would block the ledger, and the lock of a process that dies would last until the database notices.
const (
	tokenLockTime   = 30 * time.Second      // how long a holder can change the row
	tokenChangeTime = 25 * time.Second      // how much of that the change function gets
	tokenPoll       = 50 * time.Millisecond // between two attempts to lock a row
)

// Tokens stores OAuth tokens in a Store. It is safe for concurrent use, also by several processes.
type Tokens struct{ store *Store }

var _ oauth.Store = Tokens{}

// Tokens returns the tokens of the store.
func (s *Store) Tokens() Tokens { return Tokens{s} }

// Get returns the token record of an instance; the zero Record if it has none.
func (t Tokens) Get(ctx context.Context, instance string) (oauth.Record, error) {
	var r oauth.Record
	err := t.store.db.QueryRowContext(ctx, `SELECT sealed, about FROM tokens WHERE instance = $1`, toSQL.Replace(instance)).Scan(&r.Sealed, &r.About)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return r, fault.StateUnavailable("reading the token", err)
	}
	return r, nil
}

// Update replaces the record with the result of f, while the row is locked.
func (t Tokens) Update(ctx context.Context, instance string, f func(context.Context, oauth.Record) (oauth.Record, error)) error {
	holder := rand.Text()
	if err := t.lockRow(ctx, toSQL.Replace(instance), holder); err != nil {
		return fault.StateUnavailable("locking the token", err)
	}
	unlockCtx := context.WithoutCancel(ctx)
	record, err := t.Get(ctx, instance)
	if err == nil {
		changeCtx, cancel := context.WithTimeout(ctx, tokenChangeTime)
		record, err = f(changeCtx, record)
		cancel()
	}
	if err != nil {
		if _, unlockErr := t.store.db.ExecContext(unlockCtx, `UPDATE tokens SET until = 0 WHERE instance = $1 AND holder = $2`, toSQL.Replace(instance), holder); unlockErr != nil {
			err = errors.Join(err, fault.StateUnavailable("unlocking the token", unlockErr))
		}
		return err
	}
	result, err := t.store.db.ExecContext(unlockCtx, t.store.dialect.query.Replace(
		`UPDATE tokens SET sealed = $3, about = $4, until = 0 WHERE instance = $1 AND holder = $2 AND until >= {now}`), toSQL.Replace(instance), holder, record.Sealed, record.About)
	if err != nil {
		return fault.StateUnavailable("writing the token", err)
	}
	if n, err := result.RowsAffected(); err == nil && n == 0 {
		return errors.New("writing the token: the change took longer than its lock, and another process may have changed the token")
	}
	return nil
}

// lockRow waits until the holder has locked the row of an instance.
func (t Tokens) lockRow(ctx context.Context, instance, holder string) error {
	db, query := t.store.db, t.store.dialect.query.Replace(`UPDATE tokens SET holder = $2, until = {now} + $3 WHERE instance = $1 AND until < {now}`)
	if _, err := db.ExecContext(ctx, `INSERT INTO tokens (instance, sealed, about, holder, until) VALUES ($1, '', '', '', 0) ON CONFLICT DO NOTHING`, instance); err != nil {
		return err
	}
	for {
		result, err := db.ExecContext(ctx, query, instance, holder, tokenLockTime.Milliseconds())
		if err != nil {
			return err
		}
		if n, err := result.RowsAffected(); err != nil || n == 1 {
			return err
		}
		if err := pause.For(ctx, tokenPoll); err != nil {
			return err
		}
	}
}
