package state

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/fault"
)

// Limits of the history of one identity in one audience.
const (
	MaxHistory = 8   // rows
	maxReason  = 300 // characters of a reason
)

const outcomeDelivered = "delivered"

// ledgerUpdate is one transaction on an audience: the audience's locked row and the members that the transaction changes.
type ledgerUpdate struct {
	audienceRow
	rows   map[string]*memberRow
	doubts []doubtRow
	seen   int64 // last row of the unmerged writes that rows include
}

// historyRow is one row of an identity's history.
type historyRow struct {
	slot        int64
	decided, at int64
	member      bool
	outcome     string
	reason      string
}

// Record records changes that the destination has accepted.
func (l *Ledger) Record(ctx context.Context, a destination.Audience, changes []destination.Change) error {
	return l.Update(ctx, a, destination.MemberUpdate{Accepted: changes})
}

// Annotate records why changes were not delivered.
func (l *Ledger) Annotate(ctx context.Context, a destination.Audience, notes []destination.Note) error {
	return l.Update(ctx, a, destination.MemberUpdate{Notes: notes})
}

// Update implements destination.MemberUpdater with one transaction, unless the requests in flight have to move to the rows of their identities first.
func (l *Ledger) Update(ctx context.Context, a destination.Audience, u destination.MemberUpdate) error {
	identities := make([]string, 0, len(u.Accepted)+len(u.Notes))
	for i := range u.Accepted {
		identities = append(identities, u.Accepted[i].Identity)
	}
	for i := range u.Notes {
		identities = append(identities, u.Notes[i].Identity)
	}
	if len(identities) == 0 {
		return l.MarkUncertain(ctx, a, u.Uncertain)
	}
	sent, marked := sentChanges(u.Uncertain), false
	err := l.withAudienceLocked(ctx, a, len(identities), func(t *lockedAudience) error {
		doubts, err := t.update(ctx, identities, func(c *ledgerUpdate) { c.apply(u) })
		if err == nil && len(sent) > 0 {
			marked, err = t.tryMark(ctx, doubts, sent)
		}
		return err
	})
	if err != nil || marked {
		return err
	}
	return l.MarkUncertain(ctx, a, u.Uncertain)
}

// apply applies what has happened.
func (c *ledgerUpdate) apply(u destination.MemberUpdate) {
	now := toMicros(time.Now())
	for i := range u.Accepted {
		c.applyChange(&u.Accepted[i], now)
	}
	noted := now.Int64 + 1 // the history of an identity is in the order of these times
	for _, n := range u.Notes {
		c.addHistory(c.member(n.Identity), historyRow{0, noted, n.At.UnixMicro(), n.Member, n.Outcome, fault.Shorten(n.Reason, maxReason)})
	}
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
		c.addHistory(e, historyRow{0, e.delivered.Int64, e.at.Int64, e.member, outcomeDelivered, ""})
	}
	switch {
	case ch.Member && !e.member:
		c.members++
	case !ch.Member && e.member:
		c.members--
	}
	e.member, e.at, e.delivered, e.confirmed = ch.Member, at, now, sql.NullInt64{}
	if !e.sent.Valid || at.Int64 >= e.sent.Int64 || c.isFuture(e.sent) { // otherwise a later change was sent, and its outcome is unknown
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

// addHistory adds a row to the history of a member, in the next slot. If the history is full, it replaces the oldest row.
func (c *ledgerUpdate) addHistory(e *memberRow, row historyRow) {
	row.slot = e.turns % MaxHistory
	if e.added = append(e.added, row); len(e.added) > MaxHistory {
		e.added = e.added[1:]
	}
	e.turns++
	e.changed = true
}

// lockedAudience is a transaction that has the row of an audience locked.
type lockedAudience struct {
	l        *Ledger
	tx       *sql.Tx
	id       string // of the audience
	row      *audienceRow
	written  unmergedWrite
	deferred bool // the database may have unmerged writes
}

// withAudienceLocked runs f, which writes n rows of members, in a transaction that has the audience's row locked. Other writers of the audience wait.
// f may be called again in another transaction.
func (l *Ledger) withAudienceLocked(ctx context.Context, a destination.Audience, n int, f func(*lockedAudience) error) error {
	var t *lockedAudience
	var err error
	if n > 0 {
		err = l.limitUnmerged(ctx, a.ID, n)
	}
	if err == nil {
		err = l.store.writeAudience(ctx, recentKey{l.instance, a.ID}, func(tx *sql.Tx) error {
			row, err := l.lockAudience(ctx, tx, a)
			if err != nil {
				return err
			}
			if t, err = l.newLockedAudience(ctx, tx, a.ID, row); err != nil {
				return err
			}
			return f(t)
		})
	}
	if err != nil {
		return fault.StateUnavailable("writing the ledger", err)
	}
	if t.written.id > 0 {
		l.store.recentOf(l.instance, a.ID).written(t.row, t.written)
	}
	return nil
}

func (l *Ledger) newLockedAudience(ctx context.Context, tx *sql.Tx, id string, row *audienceRow) (*lockedAudience, error) {
	deferred, err := l.store.hasVersion(ctx, tx, unmergedVersion)
	return &lockedAudience{l: l, tx: tx, id: id, row: row, deferred: deferred}, err
}

// update reads the rows of identities, lets f change them, and saves the changed rows. It returns the requests in flight afterwards. It is called
// once in a transaction: it keeps in memory what it reads, which must be committed.
func (t *lockedAudience) update(ctx context.Context, identities []string, f func(*ledgerUpdate)) ([]doubtRow, error) {
	v, err := t.l.readView(ctx, t.tx, t.id, t.row, identities)
	if err != nil {
		return nil, err
	}
	c := &ledgerUpdate{audienceRow: *t.row, rows: v.rows, doubts: v.doubts, seen: v.seen}
	f(c)
	return c.doubts, t.save(ctx, c)
}

// lockAudience locks and returns the row of an audience. It creates the row if needed, and updates its name.
func (l *Ledger) lockAudience(ctx context.Context, tx *sql.Tx, a destination.Audience) (*audienceRow, error) {
	lock := l.store.dialect.rowLock
	row, err := l.findAudience(ctx, tx, a.ID, lock)
	if errors.Is(err, sql.ErrNoRows) {
		_, err = tx.ExecContext(ctx, `INSERT INTO audiences (instance, audience, name, members, merged) VALUES ($1, $2, $3, 0, $4)
			ON CONFLICT (instance, audience) DO NOTHING`, l.instance, toSQL.Replace(a.ID), toSQL.Replace(a.Name), time.Now().UnixMicro())
		if err == nil {
			row, err = l.findAudience(ctx, tx, a.ID, lock)
		}
	}
	if err == nil && a.Name != "" && row.name != toSQL.Replace(a.Name) {
		_, err = tx.ExecContext(ctx, `UPDATE audiences SET name = $2 WHERE id = $1`, row.id, toSQL.Replace(a.Name))
	}
	return row, err
}

// save writes the changed rows, as one unmerged row if the database may have those.
func (t *lockedAudience) save(ctx context.Context, c *ledgerUpdate) error {
	if c.members != t.row.members {
		if _, err := t.tx.ExecContext(ctx, `UPDATE audiences SET members = $2 WHERE id = $1`, c.id, c.members); err != nil {
			return err
		}
	}
	data := encodeWrite(c.rows)
	if data == nil {
		return nil
	}
	if err := t.saveChanged(ctx, c, data); err != nil {
		return err
	}
	return c.removeSaved(ctx, t.tx)
}

// saveChanged writes the changed rows, which data encodes.
func (t *lockedAudience) saveChanged(ctx context.Context, c *ledgerUpdate, data []byte) error {
	if !t.deferred {
		if _, err := t.tx.ExecContext(ctx, rowsChanged, c.id); err != nil {
			return err
		}
		return t.l.store.saveRows(ctx, t.tx, c.id, sortedRows(c.rows))
	}
	if err := t.l.store.useVersion(ctx, t.tx, unmergedVersion); err != nil {
		return err
	}
	t.written = unmergedWrite{c.seen + 1, string(data)}
	_, err := t.tx.ExecContext(ctx, `INSERT INTO unmerged (audience, id, changes) VALUES ($1, $2, $3)`, c.id, t.written.id, data)
	return err
}

// saveRows saves the changed rows and their history in their tables. They should be in the order of the primary key.
func (s *Store) saveRows(ctx context.Context, tx *sql.Tx, audience int64, rows []*memberRow) error {
	members, history := &bulkRows{insert: saveMembers}, &bulkRows{insert: saveHistory}
	for _, e := range rows {
		escaped := toSQL.Replace(e.identity)
		if !e.changed {
			continue
		}
		members.add(escaped, flag(e.member), flag(e.doubt), notNull(e.turns), e.at, e.delivered, e.confirmed, e.sent)
		for _, h := range e.added {
			history.add(escaped, notNull(h.slot), notNull(h.decided), notNull(h.at), flag(h.member), toSQL.Replace(h.outcome), toSQL.Replace(h.reason))
		}
	}
	if err := members.save(ctx, s, tx, audience); err != nil {
		return err
	}
	return history.save(ctx, s, tx, audience)
}

// saveMembers and saveHistory save rows.
var (
	saveMembers = &bulkInsert{
		"members", []bulkColumn{
			{"identity", textColumn}, {"member", "SMALLINT"}, {"doubt", "SMALLINT"}, {"turns", "INTEGER"},
			{"at", "BIGINT"}, {"delivered", "BIGINT"}, {"confirmed", "BIGINT"}, {"sent", "BIGINT"},
		},
		`ON CONFLICT (audience, identity) DO UPDATE SET member = excluded.member, doubt = excluded.doubt, turns = excluded.turns,
			at = excluded.at, delivered = excluded.delivered, confirmed = excluded.confirmed, sent = excluded.sent`,
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
