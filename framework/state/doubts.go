package state

import (
	"context"
	"database/sql"
	"encoding/binary"
	"math"
	"slices"

	"github.com/landfall-dev/landfall/framework/destination"
)

// A request in flight is one row of the table doubts, with its identities and the times of their events. The row with the highest id
// decides. When the row of an identity in the table members is saved, its doubt moves there, so a recorded request leaves nothing in
// this table.
const createDoubts = `CREATE TABLE doubts (
  audience BIGINT NOT NULL,
  id       BIGINT NOT NULL, -- within the audience
  changes  {blob} NOT NULL, -- see encodeSent
  PRIMARY KEY (audience, id)
) {clustered}`

// saveDoubt has no query for the id, with which SQLite would prepare the statement again each time.
const saveDoubt = `INSERT INTO doubts (audience, id, changes) VALUES ($1, $2, $3)`

// maxDoubts is the number of requests of an audience in flight above which they move to the rows of their identities: a lookup reads
// all of them.
const maxDoubts = 64

// sentChange is an identity whose change was sent; at is null if the change supersedes no other one.
type sentChange struct {
	identity string
	at       sql.NullInt64
}

// doubtRow is a row of the table doubts.
type doubtRow struct {
	audience, id int64
	changes      []sentChange
}

// MarkUncertain marks identities as uncertain: the destination may have another membership than the ledger.
func (l *Ledger) MarkUncertain(ctx context.Context, a destination.Audience, changes []destination.Change) error {
	if len(changes) == 0 {
		return nil
	}
	sent := sentChanges(changes)
	return l.withAudienceLocked(ctx, a, 0, func(t *lockedAudience) error {
		doubts, _, err := readPending(ctx, t.tx, t.row.id, math.MaxInt64)
		if err != nil {
			return err
		}
		marked, err := t.tryMark(ctx, doubts, sent)
		if marked || err != nil {
			return err
		}
		if len(doubts) < maxDoubts {
			return t.saveUncertain(ctx, sent)
		}
		if err := t.moveDoubts(ctx, doubts); err != nil {
			return err
		}
		return t.mark(ctx, idAfter(doubts), sent)
	})
}

// tryMark adds a request in flight to those that there are, and removes those that it replaces. It adds none if they have to move to the
// rows of their identities first, or if the database may not have any.
func (t *lockedAudience) tryMark(ctx context.Context, doubts []doubtRow, sent []sentChange) (marked bool, err error) {
	allowed, err := t.l.store.hasVersion(ctx, t.tx, doubtsVersion)
	if err != nil || !allowed || len(doubts) >= maxDoubts {
		return false, err
	}
	if err := removeReplaced(ctx, t.tx, doubts, sent); err != nil {
		return false, err
	}
	return true, t.mark(ctx, idAfter(doubts), sent)
}

// idAfter returns the id of the next request in flight of a locked audience that has or had these, sorted by id.
func idAfter(doubts []doubtRow) int64 {
	if len(doubts) == 0 {
		return 1
	}
	return doubts[len(doubts)-1].id + 1
}

// mark adds a request in flight.
func (t *lockedAudience) mark(ctx context.Context, id int64, sent []sentChange) error {
	if err := t.l.store.useVersion(ctx, t.tx, doubtsVersion); err != nil {
		return err
	}
	_, err := t.tx.ExecContext(ctx, saveDoubt, t.row.id, id, encodeSent(sent))
	return err
}

// sentChanges returns changes as a request in flight has them. Of several of an identity the last one counts.
func sentChanges(changes []destination.Change) []sentChange {
	sent := make([]sentChange, len(changes))
	for i, c := range changes {
		sent[i] = sentChange{c.Identity, sentMicros(c.At)}
	}
	return sent
}

// removeReplaced deletes the doubts whose identities are all in a new one, as a request that is retried leaves them.
func removeReplaced(ctx context.Context, tx *sql.Tx, doubts []doubtRow, sent []sentChange) error {
	if len(doubts) == 0 {
		return nil
	}
	replaced := make(map[string]bool, len(sent))
	for _, c := range sent {
		replaced[c.identity] = true
	}
	isKept := func(c sentChange) bool { return !replaced[c.identity] }
	for _, d := range doubts {
		if slices.ContainsFunc(d.changes, isKept) {
			continue
		}
		if err := d.save(ctx, tx, nil); err != nil {
			return err
		}
	}
	return nil
}

// removeSaved removes the identities whose rows are saved from the doubts of the audience.
func (c *ledgerUpdate) removeSaved(ctx context.Context, tx *sql.Tx) error {
	isSaved := func(s sentChange) bool { e := c.rows[s.identity]; return e != nil && e.changed }
	for i := range c.doubts {
		d := &c.doubts[i]
		rest := slices.DeleteFunc(d.changes, isSaved)
		if len(rest) == len(d.changes) {
			continue
		}
		if err := d.save(ctx, tx, rest); err != nil {
			return err
		}
		d.changes = rest
	}
	return nil
}

// save replaces the changes of the row, and deletes it if there are none.
func (d *doubtRow) save(ctx context.Context, tx *sql.Tx, changes []sentChange) error {
	var err error
	if len(changes) == 0 {
		_, err = tx.ExecContext(ctx, `DELETE FROM doubts WHERE audience = $1 AND id = $2`, d.audience, d.id)
	} else {
		_, err = tx.ExecContext(ctx, `UPDATE doubts SET changes = $3 WHERE audience = $1 AND id = $2`, d.audience, d.id, encodeSent(changes))
	}
	return err
}

// applyDoubts sets the doubts of identities in their rows, and adds rows for identities without.
func applyDoubts(doubts []doubtRow, members map[string]*memberRow, identities []string) {
	wanted := make(map[string]bool, len(identities))
	for _, identity := range identities {
		wanted[identity] = true
	}
	for _, d := range doubts {
		for _, c := range d.changes {
			if !wanted[c.identity] {
				continue
			}
			e := members[c.identity]
			if e == nil {
				e = &memberRow{identity: c.identity}
				members[c.identity] = e
			}
			e.doubt, e.sent = true, c.at
		}
	}
}

// moveDoubts moves all doubts of an audience to the rows of its identities.
func (t *lockedAudience) moveDoubts(ctx context.Context, doubts []doubtRow) error {
	var identities []string
	for _, d := range doubts {
		for _, c := range d.changes {
			identities = append(identities, c.identity)
		}
	}
	if len(identities) == 0 {
		return nil
	}
	_, err := t.update(ctx, identities, func(c *ledgerUpdate) {
		for _, e := range c.rows { // which have the doubts already
			e.changed = true
		}
	})
	return err
}

// saveUncertain marks identities in their rows.
func (t *lockedAudience) saveUncertain(ctx context.Context, sent []sentChange) error {
	identities := make([]string, len(sent))
	for i, c := range sent {
		identities[i] = c.identity
	}
	_, err := t.update(ctx, identities, func(u *ledgerUpdate) {
		for _, c := range sent {
			e := u.member(c.identity)
			e.doubt, e.sent, e.changed = true, c.at, true
		}
	})
	return err
}

// encodeSent encodes changes: for each the length of its identity, the identity, and its time in microseconds less that of the change
// before. 0 stands for no time.
func encodeSent(changes []sentChange) []byte {
	var data []byte
	before := int64(0)
	for _, c := range changes {
		data = binary.AppendVarint(appendText(data, c.identity), c.at.Int64-before)
		before = c.at.Int64
	}
	return data
}

// decodeSent is the inverse of encodeSent. The changes do not refer to data.
func decodeSent(data []byte) ([]sentChange, error) {
	r, before := &rowReader{rest: string(data)}, int64(0)
	var changes []sentChange
	for len(r.rest) > 0 {
		identity := r.text()
		before += r.varint()
		changes = append(changes, sentChange{identity, sql.NullInt64{Int64: before, Valid: before != 0}})
	}
	if r.damaged {
		return nil, errDamaged
	}
	return changes, nil
}
