package state

import (
	"context"
	"database/sql"
	"errors"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
)

// Bounds of the history of one identity in one audience.
const (
	MaxHistory = 8   // rows
	maxReason  = 300 // bytes of a reason
)

// change is one transaction on an audience: its row, which it locks, and the entries that it touches.
type change struct {
	audience
	entries map[string]*entry
	history map[slot]line
}

type slot struct {
	identity string
	n        int64
}

// line is one row of history.
type line struct {
	decided, at int64
	member      bool
	outcome     string
	reason      string
}

// Write records what the remote has accepted.
func (l *Ledger) Write(ctx context.Context, a destination.Audience, changes []destination.Change) error {
	return l.change(ctx, a, len(changes), func(i int) string { return changes[i].Identity }, func(c *change) {
		now := micros(time.Now())
		for i := range changes {
			c.write(&changes[i], now)
		}
	})
}

// Doubt says that the remote may hold something else from now on. It reads nothing: what is in doubt already stays as it is.
func (l *Ledger) Doubt(ctx context.Context, a destination.Audience, identities []string) error {
	if len(identities) == 0 {
		return nil
	}
	each := slices.Compact(slices.Sorted(slices.Values(identities))) // in the order of the table
	return l.locked(ctx, a, func(tx *sql.Tx, row *audience) error {
		_, err := tx.ExecContext(ctx, l.store.dialect.query.Replace(saveDoubts), row.id, identityRows(each))
		return err
	})
}

// Note keeps why changes were not delivered.
func (l *Ledger) Note(ctx context.Context, a destination.Audience, notes []destination.Note) error {
	return l.change(ctx, a, len(notes), func(i int) string { return notes[i].Identity }, func(c *change) {
		now := time.Now().UnixMicro()
		for _, n := range notes {
			c.remember(c.entry(n.Identity), line{now, n.At.UnixMicro(), n.Member, n.Outcome, shortened(n.Reason)})
		}
	})
}

func shortened(reason string) string {
	if len(reason) <= maxReason {
		return reason
	}
	return string([]rune(reason[:maxReason])) + "…" // a rune that was cut is replaced
}

func (c *change) write(ch *destination.Change, now sql.NullInt64) {
	e := c.entry(ch.Identity)
	at := micros(ch.At)
	floor := e.record(c.purged)
	if floor.Known && at.Int64 < floor.At.UnixMicro() {
		return
	}
	e.touched = true
	if ch.Unchanged && e.at.Valid {
		e.at, e.confirmed = at, now
		return
	}
	if e.at.Valid {
		c.remember(e, line{e.delivered.Int64, e.at.Int64, e.member, "delivered", ""})
	}
	switch {
	case ch.Member && !e.member:
		c.members++
	case !ch.Member && e.member:
		c.members--
	}
	e.member, e.doubt, e.at, e.delivered, e.confirmed = ch.Member, false, at, now, sql.NullInt64{}
}

// entry is that of an identity, a new one where there is none.
func (c *change) entry(identity string) *entry {
	e := c.entries[identity]
	if e == nil {
		e = &entry{identity: identity}
		c.entries[identity] = e
	}
	return e
}

// remember puts a line into the history of an entry, over its oldest one where there is no room.
func (c *change) remember(e *entry, what line) {
	c.history[slot{e.identity, e.turns % MaxHistory}] = what
	e.turns++
	e.touched = true
}

// change reads the entries of n identities, lets f change them, and writes what f has touched, with the audience locked.
func (l *Ledger) change(ctx context.Context, a destination.Audience, n int, identity func(int) string, f func(*change)) error {
	if n == 0 {
		return nil
	}
	identities := make([]string, n)
	for i := range n {
		identities[i] = identity(i)
	}
	return l.locked(ctx, a, func(tx *sql.Tx, row *audience) (err error) {
		c := &change{audience: *row, history: map[slot]line{}}
		if c.entries, err = l.entries(ctx, tx, row.id, identities); err != nil {
			return err
		}
		f(c)
		return l.save(ctx, tx, row, c)
	})
}

// locked is a transaction on an audience. Others that change the audience wait.
func (l *Ledger) locked(ctx context.Context, a destination.Audience, f func(*sql.Tx, *audience) error) error {
	err := l.store.transact(ctx, func(tx *sql.Tx) error {
		row, err := l.lock(ctx, tx, a)
		if err != nil {
			return err
		}
		return f(tx, row)
	})
	if err != nil {
		return fault.StateUnavailable("writing the ledger", err)
	}
	return nil
}

// lock is the row of an audience, made where there is none, with its name as it is now.
func (l *Ledger) lock(ctx context.Context, tx *sql.Tx, a destination.Audience) (*audience, error) {
	lock := l.store.dialect.query.Replace("{lock}")
	row, err := l.audience(ctx, tx, a.ID, lock)
	if errors.Is(err, sql.ErrNoRows) {
		_, err = tx.ExecContext(ctx, `INSERT INTO audiences (instance, audience, name, members) VALUES ($1, $2, $3, 0)
			ON CONFLICT (instance, audience) DO NOTHING`, l.instance, toSQL.Replace(a.ID), toSQL.Replace(a.Name))
		if err == nil {
			row, err = l.audience(ctx, tx, a.ID, lock)
		}
	}
	if err == nil && a.Name != "" && row.name != toSQL.Replace(a.Name) {
		_, err = tx.ExecContext(ctx, `UPDATE audiences SET name = $2 WHERE id = $1`, row.id, toSQL.Replace(a.Name))
	}
	return row, err
}

func (l *Ledger) save(ctx context.Context, tx *sql.Tx, was *audience, c *change) error {
	if c.members != was.members {
		if _, err := tx.ExecContext(ctx, `UPDATE audiences SET members = $2 WHERE id = $1`, c.id, c.members); err != nil {
			return err
		}
	}
	if rows := entryRows(c.entries); rows != "[]" {
		if _, err := tx.ExecContext(ctx, l.store.dialect.query.Replace(saveEntries), c.id, rows); err != nil {
			return err
		}
	}
	if len(c.history) == 0 {
		return nil
	}
	_, err := tx.ExecContext(ctx, l.store.dialect.query.Replace(saveHistory), c.id, historyRows(c.history))
	return err
}

const saveEntries = `INSERT INTO members (audience, identity, member, doubt, turns, at, delivered, confirmed)
	SELECT CAST($1 AS BIGINT), j.value ->> 0, CAST(j.value ->> 1 AS SMALLINT), CAST(j.value ->> 2 AS SMALLINT), CAST(j.value ->> 3 AS INTEGER),
		CAST(j.value ->> 4 AS BIGINT), CAST(j.value ->> 5 AS BIGINT), CAST(j.value ->> 6 AS BIGINT) FROM {rows} WHERE true
	ON CONFLICT (audience, identity) DO UPDATE SET member = excluded.member, doubt = excluded.doubt, turns = excluded.turns,
		at = excluded.at, delivered = excluded.delivered, confirmed = excluded.confirmed`

const saveDoubts = `INSERT INTO members (audience, identity, member, doubt, turns)
	SELECT CAST($1 AS BIGINT), j.value ->> 0, 0, 1, 0 FROM {rows} WHERE true
	ON CONFLICT (audience, identity) DO UPDATE SET doubt = 1 WHERE members.doubt = 0`

const saveHistory = `INSERT INTO history (audience, identity, slot, decided, at, member, outcome, reason)
	SELECT CAST($1 AS BIGINT), j.value ->> 0, CAST(j.value ->> 1 AS SMALLINT), CAST(j.value ->> 2 AS BIGINT), CAST(j.value ->> 3 AS BIGINT),
		CAST(j.value ->> 4 AS SMALLINT), j.value ->> 5, j.value ->> 6 FROM {rows} WHERE true
	ON CONFLICT (audience, identity, slot) DO UPDATE SET decided = excluded.decided, at = excluded.at, member = excluded.member,
		outcome = excluded.outcome, reason = excluded.reason`

// entryRows is the touched entries as a JSON array of rows, in the order of their identities: that of the table.
func entryRows(entries map[string]*entry) string {
	text := append(make([]byte, 0, 64*len(entries)), '[')
	for _, identity := range slices.Sorted(maps.Keys(entries)) {
		e := entries[identity]
		if !e.touched {
			continue
		}
		if len(text) > 1 {
			text = append(text, ',')
		}
		text = event.AppendString(append(text, '['), toSQL.Replace(e.identity))
		text = appendBool(append(text, ','), e.member)
		text = appendBool(append(text, ','), e.doubt)
		text = strconv.AppendInt(append(text, ','), e.turns, 10)
		for _, n := range []sql.NullInt64{e.at, e.delivered, e.confirmed} {
			text = appendNumber(append(text, ','), n)
		}
		text = append(text, ']')
	}
	return string(append(text, ']'))
}

func historyRows(history map[slot]line) string {
	text := []byte{'['}
	for s, what := range history {
		if len(text) > 1 {
			text = append(text, ',')
		}
		text = event.AppendString(append(text, '['), toSQL.Replace(s.identity))
		for _, n := range []int64{s.n, what.decided, what.at} {
			text = strconv.AppendInt(append(text, ','), n, 10)
		}
		text = appendBool(append(text, ','), what.member)
		text = event.AppendString(append(text, ','), what.outcome)
		text = event.AppendString(append(text, ','), toSQL.Replace(what.reason))
		text = append(text, ']')
	}
	return string(append(text, ']'))
}
