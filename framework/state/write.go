package state

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/landfall-dev/landfall/framework/destination"
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
	if err := memberRows(c.rows).save(ctx, l.store, tx, c.id); err != nil {
		return err
	}
	if err := c.removeSaved(ctx, tx); err != nil {
		return err
	}
	return historyRows(c.history).save(ctx, l.store, tx, c.id)
}

// saveMembers, markMembers and saveHistory are the writes of a ledger.
var (
	saveMembers = &bulkInsert{
		"members", []bulkColumn{
			{"identity", textColumn}, {"member", "SMALLINT"}, {"doubt", "SMALLINT"}, {"turns", "INTEGER"},
			{"at", "BIGINT"}, {"delivered", "BIGINT"}, {"confirmed", "BIGINT"}, {"sent", "BIGINT"},
		},
		`ON CONFLICT (audience, identity) DO UPDATE SET member = excluded.member, doubt = excluded.doubt, turns = excluded.turns,
			at = excluded.at, delivered = excluded.delivered, confirmed = excluded.confirmed, sent = excluded.sent`,
	}
	markMembers = &bulkInsert{
		"members", []bulkColumn{{"identity", textColumn}, {"member", "SMALLINT"}, {"doubt", "SMALLINT"}, {"turns", "INTEGER"}, {"sent", "BIGINT"}},
		`ON CONFLICT (audience, identity) DO UPDATE SET doubt = 1, sent = excluded.sent
			WHERE members.doubt = 0 OR members.sent IS DISTINCT FROM excluded.sent`,
	}
	saveHistory = &bulkInsert{
		"history", []bulkColumn{
			{"identity", textColumn}, {"slot", "SMALLINT"}, {"decided", "BIGINT"}, {"at", "BIGINT"}, {"member", "SMALLINT"},
			{"outcome", textColumn}, {"reason", textColumn},
		},
		`ON CONFLICT (audience, identity, slot) DO UPDATE SET decided = excluded.decided, at = excluded.at, member = excluded.member,
			outcome = excluded.outcome, reason = excluded.reason`,
	}
)

// memberRows returns the changed rows, in the order of the primary key.
func memberRows(rows map[string]*memberRow) *bulkRows {
	changed := &bulkRows{insert: saveMembers}
	for _, identity := range slices.Sorted(maps.Keys(rows)) {
		if e := rows[identity]; e.changed {
			changed.add(toSQL.Replace(e.identity), flag(e.member), flag(e.doubt), notNull(e.turns), e.at, e.delivered, e.confirmed, e.sent)
		}
	}
	return changed
}

// historyRows returns rows of history, in the order of the primary key.
func historyRows(history map[historyKey]historyRow) *bulkRows {
	rows := &bulkRows{insert: saveHistory}
	keys := slices.SortedFunc(maps.Keys(history), func(a, b historyKey) int {
		return cmp.Or(cmp.Compare(a.identity, b.identity), cmp.Compare(a.slot, b.slot))
	})
	for _, key := range keys {
		row := history[key]
		rows.add(toSQL.Replace(key.identity), notNull(key.slot), notNull(row.decided), notNull(row.at), flag(row.member), toSQL.Replace(row.outcome), toSQL.Replace(row.reason))
	}
	return rows
}
