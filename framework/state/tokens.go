package state

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"time"

	"github.com/landfall-dev/landfall/framework/destination/oauth"
	"github.com/landfall-dev/landfall/framework/fault"
)

// A row of tokens is locked by a holder with a time limit, so that no transaction stays open while a remote is asked: it would
// keep the ledger waiting, and a process that dies would leave its lock to the database's patience.
const (
	tokenLock = 30 * time.Second // how long a holder may change a row
	tokenUse  = 25 * time.Second // how much of that the change itself has
	tokenPoll = 50 * time.Millisecond
)

// Tokens keeps tokens in a Store. Like it, it is safe for concurrent use, also by several processes.
type Tokens struct{ store *Store }

var _ oauth.Store = Tokens{}

// Tokens are those that the Store keeps.
func (s *Store) Tokens() Tokens { return Tokens{s} }

// Get is the record of an instance.
func (t Tokens) Get(ctx context.Context, instance string) (oauth.Record, error) {
	var r oauth.Record
	err := t.store.db.QueryRowContext(ctx, `SELECT sealed, about FROM tokens WHERE instance = $1`, toSQL.Replace(instance)).Scan(&r.Sealed, &r.About)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return r, fault.StateUnavailable("reading the token", err)
	}
	return r, nil
}

// Change puts what f makes of the record in its place, with the row locked.
func (t Tokens) Change(ctx context.Context, instance string, f func(context.Context, oauth.Record) (oauth.Record, error)) error {
	holder := rand.Text()
	if err := t.lock(ctx, toSQL.Replace(instance), holder); err != nil {
		return fault.StateUnavailable("locking the token", err)
	}
	ending := context.WithoutCancel(ctx)
	record, err := t.Get(ctx, instance)
	if err == nil {
		using, cancel := context.WithTimeout(ctx, tokenUse)
		record, err = f(using, record)
		cancel()
	}
	if err != nil {
		_, free := t.store.db.ExecContext(ending, `UPDATE tokens SET until = 0 WHERE instance = $1 AND holder = $2`, toSQL.Replace(instance), holder)
		return errors.Join(err, free)
	}
	result, err := t.store.db.ExecContext(ending, t.store.dialect.query.Replace(
		`UPDATE tokens SET sealed = $3, about = $4, until = 0 WHERE instance = $1 AND holder = $2 AND until >= {now}`), toSQL.Replace(instance), holder, record.Sealed, record.About)
	if err != nil {
		return fault.StateUnavailable("writing the token", err)
	}
	if n, err := result.RowsAffected(); err == nil && n == 0 {
		return errors.New("writing the token: it took too long, and somebody else may have changed it")
	}
	return nil
}

// lock waits until the row of an instance is the holder's.
func (t Tokens) lock(ctx context.Context, instance, holder string) error {
	db, query := t.store.db, t.store.dialect.query.Replace(`UPDATE tokens SET holder = $2, until = {now} + $3 WHERE instance = $1 AND until < {now}`)
	if _, err := db.ExecContext(ctx, `INSERT INTO tokens (instance, sealed, about, holder, until) VALUES ($1, '', '', '', 0) ON CONFLICT DO NOTHING`, instance); err != nil {
		return err
	}
	for {
		result, err := db.ExecContext(ctx, query, instance, holder, tokenLock.Milliseconds())
		if err != nil {
			return err
		}
		if n, err := result.RowsAffected(); err != nil || n == 1 {
			return err
		}
		select {
		case <-time.After(tokenPoll):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
