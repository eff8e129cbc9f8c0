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

// Limits of the history of one identity in one audience.
const (
	MaxHistory = 8   // rows
	maxReason  = 300 // characters of a reason
)

// ledgerUpdate is one transaction on an audience: the audience's locked row and the members that the transaction changes.
type ledgerUpdate struct {
	audienceRow
	rows    map[string]*memberRow
	doubts  []doubtRow
	history map[historyKey]historyRow
}

// historyKey identifies a row of history.
type historyKey struct {
	identity string
	slot     int64
}

// historyRow is one row of history.
type historyRow struct {
	decided, at int64
	member      bool
	outcome     string
	reason      string
}

// Record records changes that the destination has accepted.
func (l *Ledger) Record(ctx context.Context, a destination.Audience, changes []destination.Change) error {
	return l.updateMembers(ctx, a, len(changes), func(i int) string { return changes[i].Identity }, func(c *ledgerUpdate) {
		now := toMicros(time.Now())
		for i := range changes {
			c.applyChange(&changes[i], now)
		}
	})
}

// Annotate records why changes were not delivered.
func (l *Ledger) Annotate(ctx context.Context, a destination.Audience, notes []destination.Note) error {
	return l.updateMembers(ctx, a, len(notes), func(i int) string { return notes[i].Identity }, func(c *ledgerUpdate) {
		now := time.Now().UnixMicro()
		for _, n := range notes {
			c.addHistory(c.member(n.Identity), historyRow{now, n.At.UnixMicro(), n.Member, n.Outcome, fault.Shorten(n.Reason, maxReason)})
		}
	})
}

// applyChange updates a member, unless the change is older than the recorded event.
func (c *ledgerUpdate) applyChange(ch *destination.Change, now sql.NullInt64) {
	e := c.member(ch.Identity)
	at := toMicros(ch.At)
	current := e.recorded(&c.audienceRow)
	if current.Known && at.Int64 < current.At.UnixMicro() {
		return
	}
	e.changed = true
	if ch.Unchanged && e.at.Valid {
		e.at, e.confirmed = at, now
		return
	}
	if e.at.Valid {
		c.addHistory(e, historyRow{e.delivered.Int64, e.at.Int64, e.member, "delivered", ""})
	}
	switch {
	case ch.Member && !e.member:
		c.members++
	case !ch.Member && e.member:
		c.members--
	}
	e.member, e.at, e.delivered, e.confirmed = ch.Member, at, now, sql.NullInt64{}
	if !e.sent.Valid || at.Int64 >= e.sent.Int64 { // otherwise a later change was sent, and its outcome is unknown
		e.doubt, e.sent = false, sql.NullInt64{}
	}
}

// member returns the row of an identity, and adds an empty one if it has none.
func (c *ledgerUpdate) member(identity string) *memberRow {
	e := c.rows[identity]
	if e == nil {
		e = &memberRow{identity: identity}
		c.rows[identity] = e
	}
	return e
}

// addHistory adds a row to the history of a member. If the history is full, it replaces the oldest row.
func (c *ledgerUpdate) addHistory(e *memberRow, row historyRow) {
	c.history[historyKey{e.identity, e.turns % MaxHistory}] = row
	e.turns++
	e.changed = true
}

// updateMembers reads the rows of n identities, lets f change them, and saves the changed rows, all with the audience locked.
func (l *Ledger) updateMembers(ctx context.Context, a destination.Audience, n int, identity func(int) string, f func(*ledgerUpdate)) error {
	if n == 0 {
		return nil
	}
	identities := make([]string, n)
	for i := range n {
		identities[i] = identity(i)
	}
	return l.withAudienceLocked(ctx, a, func(tx *sql.Tx, row *audienceRow) (err error) {
		c := &ledgerUpdate{audienceRow: *row, history: map[historyKey]historyRow{}}
		if c.rows, c.doubts, err = l.findMembers(ctx, tx, row.id, identities); err != nil {
			return err
		}
		f(c)
		return l.saveUpdate(ctx, tx, row, c)
	})
}

// withAudienceLocked runs f in a transaction that has the audience's row locked. Other writers of the audience wait.
func (l *Ledger) withAudienceLocked(ctx context.Context, a destination.Audience, f func(*sql.Tx, *audienceRow) error) error {
	err := l.store.inTransaction(ctx, func(tx *sql.Tx) error {
		row, err := l.lockAudience(ctx, tx, a)
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

// lockAudience locks and returns the row of an audience. It creates the row if needed, and updates its name.
func (l *Ledger) lockAudience(ctx context.Context, tx *sql.Tx, a destination.Audience) (*audienceRow, error) {
	lock := l.store.dialect.query.Replace("{lock}")
	row, err := l.findAudience(ctx, tx, a.ID, lock)
	if errors.Is(err, sql.ErrNoRows) {
		_, err = tx.ExecContext(ctx, `INSERT INTO audiences (instance, audience, name, members) VALUES ($1, $2, $3, 0)
			ON CONFLICT (instance, audience) DO NOTHING`, l.instance, toSQL.Replace(a.ID), toSQL.Replace(a.Name))
		if err == nil {
			row, err = l.findAudience(ctx, tx, a.ID, lock)
		}
	}
	if err == nil && a.Name != "" && row.name != toSQL.Replace(a.Name) {
		_, err = tx.ExecContext(ctx, `UPDATE audiences SET name = $2 WHERE id = $1`, row.id, toSQL.Replace(a.Name))
	}
	return row, err
}

// saveUpdate writes the changed rows. before is the audience as it was read.
func (l *Ledger) saveUpdate(ctx context.Context, tx *sql.Tx, before *audienceRow, c *ledgerUpdate) error {
	if c.members != before.members {
		if _, err := tx.ExecContext(ctx, `UPDATE audiences SET members = $2 WHERE id = $1`, c.id, c.members); err != nil {
			return err
		}
	}
	if text := memberRows(c.rows); text != "[]" {
		if _, err := tx.ExecContext(ctx, l.store.dialect.query.Replace(saveMembers), c.id, text); err != nil {
			return err
		}
		if err := c.removeSaved(ctx, tx); err != nil {
			return err
		}
	}
	if len(c.history) == 0 {
		return nil
	}
	_, err := tx.ExecContext(ctx, l.store.dialect.query.Replace(saveHistory), c.id, historyRows(c.history))
	return err
}

const saveMembers = `INSERT INTO members (audience, identity, member, doubt, turns, at, delivered, confirmed, sent)
	SELECT CAST($1 AS BIGINT), j.value ->> 0, CAST(j.value ->> 1 AS SMALLINT), CAST(j.value ->> 2 AS SMALLINT), CAST(j.value ->> 3 AS INTEGER),
		CAST(j.value ->> 4 AS BIGINT), CAST(j.value ->> 5 AS BIGINT), CAST(j.value ->> 6 AS BIGINT), CAST(j.value ->> 7 AS BIGINT) FROM {rows} WHERE true
	ON CONFLICT (audience, identity) DO UPDATE SET member = excluded.member, doubt = excluded.doubt, turns = excluded.turns,
		at = excluded.at, delivered = excluded.delivered, confirmed = excluded.confirmed, sent = excluded.sent`

const saveHistory = `INSERT INTO history (audience, identity, slot, decided, at, member, outcome, reason)
	SELECT CAST($1 AS BIGINT), j.value ->> 0, CAST(j.value ->> 1 AS SMALLINT), CAST(j.value ->> 2 AS BIGINT), CAST(j.value ->> 3 AS BIGINT),
		CAST(j.value ->> 4 AS SMALLINT), j.value ->> 5, j.value ->> 6 FROM {rows} WHERE true
	ON CONFLICT (audience, identity, slot) DO UPDATE SET decided = excluded.decided, at = excluded.at, member = excluded.member,
		outcome = excluded.outcome, reason = excluded.reason`

// memberRows encodes the changed rows as a JSON array, in the order of the primary key.
func memberRows(rows map[string]*memberRow) string {
	text := append(make([]byte, 0, 64*len(rows)), '[')
	for _, identity := range slices.Sorted(maps.Keys(rows)) {
		e := rows[identity]
		if !e.changed {
			continue
		}
		if len(text) > 1 {
			text = append(text, ',')
		}
		text = event.AppendString(append(text, '['), toSQL.Replace(e.identity))
		text = appendBool(append(text, ','), e.member)
		text = appendBool(append(text, ','), e.doubt)
		text = strconv.AppendInt(append(text, ','), e.turns, 10)
		for _, n := range []sql.NullInt64{e.at, e.delivered, e.confirmed, e.sent} {
			text = appendNumber(append(text, ','), n)
		}
		text = append(text, ']')
	}
	return string(append(text, ']'))
}

// historyRows encodes rows of history as a JSON array.
func historyRows(history map[historyKey]historyRow) string {
	text := []byte{'['}
	for key, row := range history {
		if len(text) > 1 {
			text = append(text, ',')
		}
		text = event.AppendString(append(text, '['), toSQL.Replace(key.identity))
		for _, n := range []int64{key.slot, row.decided, row.at} {
			text = strconv.AppendInt(append(text, ','), n, 10)
		}
		text = appendBool(append(text, ','), row.member)
		text = event.AppendString(append(text, ','), row.outcome)
		text = event.AppendString(append(text, ','), toSQL.Replace(row.reason))
		text = append(text, ']')
	}
	return string(append(text, ']'))
}
