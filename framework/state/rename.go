package state

import (
	"context"
	"database/sql"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
)

// Forget deletes all data of the instance in one transaction.
func (l *Ledger) Forget(ctx context.Context) error {
	err := l.store.inTransaction(ctx, func(tx *sql.Tx) error { return l.deleteAll(ctx, tx) })
	if err == nil {
		err = l.store.removeLeftOvers(ctx)
	}
	if err != nil {
		return fault.StateUnavailable("deleting the ledger", err)
	}
	return nil
}

// deleteAll deletes the instance's rows from all tables.
func (l *Ledger) deleteAll(ctx context.Context, tx *sql.Tx) error {
	if err := l.deleteFiles(ctx, tx); err != nil {
		return err
	}
	for _, statement := range []string{
		`DELETE FROM doubts WHERE audience IN (SELECT id FROM audiences WHERE instance = $1)`,
		`DELETE FROM unmerged WHERE audience IN (SELECT id FROM audiences WHERE instance = $1)`,
		`DELETE FROM history WHERE audience IN (SELECT id FROM audiences WHERE instance = $1)`,
		`DELETE FROM members WHERE audience IN (SELECT id FROM audiences WHERE instance = $1)`,
		`DELETE FROM audiences WHERE instance = $1`,
		`DELETE FROM state WHERE instance = $1`,
		`DELETE FROM tokens WHERE instance = $1`,
	} {
		if _, err := tx.ExecContext(ctx, statement, l.instance); err != nil {
			return err
		}
	}
	return nil
}

// deleteFiles locks the audiences of the instance, and deletes their member files; those of a SQLite database are deleted by removeLeftOvers.
func (l *Ledger) deleteFiles(ctx context.Context, tx *sql.Tx) error {
	audiences, err := listColumn[int64](ctx, tx, `SELECT id FROM audiences WHERE instance = $1 ORDER BY id `+l.store.dialect.rowLock, l.instance)
	for _, audience := range audiences {
		if err == nil {
			err = l.store.deleteFilesOf(ctx, tx, audience)
		}
	}
	return err
}

// Rename moves the data of the instance to another instance id, in one transaction. If the other id already has data, the two are
// merged: for each identity, the newer event wins, where an event ahead of the server's clock counts as in clampTime. If both have data for different targets, the error is a *TargetError. The token is
// not moved, because it is encrypted for its instance. Repeating a Rename changes nothing.
func (l *Ledger) Rename(ctx context.Context, to string) error {
	other := l.store.Ledger(to)
	if other.instance == l.instance {
		return nil // otherwise its audiences would be merged with themselves, and deleted
	}
	content, err := other.Content(ctx)
	if err != nil {
		return err
	}
	target, marked, err := l.Target(ctx)
	if err != nil {
		return err
	}
	content.Token = false
	if marked && !content.Empty() {
		if err := other.CheckTarget(ctx, target); err != nil {
			return err
		}
	}
	err = l.store.inTransaction(ctx, func(tx *sql.Tx) error {
		if content.Empty() { // an empty ledger's target must not replace the one that is moved
			if _, err := tx.ExecContext(ctx, `DELETE FROM state WHERE instance = $1`, other.instance); err != nil {
				return err
			}
		}
		return l.moveAll(ctx, tx, other)
	})
	if err == nil {
		err = l.store.removeLeftOvers(ctx)
	}
	if err != nil {
		return fault.StateUnavailable("renaming the ledger", err)
	}
	return nil
}

// moveAll moves the audiences and values of the instance to another instance.
func (l *Ledger) moveAll(ctx context.Context, tx *sql.Tx, other *Ledger) error {
	pairs, err := l.sharedAudiences(ctx, tx, other)
	if err != nil {
		return err
	}
	for _, p := range pairs {
		if err := l.store.mergeForUpdate(ctx, tx, p[:]); err != nil {
			return err
		}
		for _, statement := range mergeAudience {
			if _, err := tx.ExecContext(ctx, l.store.decidedAt(statement), p[0], p[1]); err != nil {
				return err
			}
		}
	}
	for _, statement := range []string{
		`UPDATE audiences SET instance = $2 WHERE instance = $1`,
		`INSERT INTO state (instance, key, value) SELECT CAST($2 AS TEXT), key, value FROM state WHERE instance = $1 ON CONFLICT (instance, key) DO NOTHING`,
	} {
		if _, err := tx.ExecContext(ctx, statement, l.instance, other.instance); err != nil {
			return err
		}
	}
	_, err = tx.ExecContext(ctx, `DELETE FROM state WHERE instance = $1`, l.instance)
	return err
}

// sharedAudiences locks the audiences of both instances, in the order in which all lock several, and returns those that both have, as pairs of row ids:
// this instance's first, the other's second.
func (l *Ledger) sharedAudiences(ctx context.Context, tx *sql.Tx, other *Ledger) (pairs [][2]int64, err error) {
	if _, err := listColumn[int64](ctx, tx, `SELECT id FROM audiences WHERE instance IN ($1, $2) ORDER BY id `+l.store.dialect.rowLock, l.instance, other.instance); err != nil {
		return nil, err
	}
	rows, err := tx.QueryContext(ctx, `SELECT o.id, n.id FROM audiences o JOIN audiences n ON n.audience = o.audience
		WHERE o.instance = $1 AND n.instance = $2`, l.instance, other.instance)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var p [2]int64
		if err := rows.Scan(&p[0], &p[1]); err != nil {
			return nil, err
		}
		pairs = append(pairs, p)
	}
	return pairs, errors.Join(rows.Err(), rows.Close())
}

// decidedAt replaces {decided TABLE} in a statement with an expression for the time of a row, as clampTime returns it; 0 for a time that isFuture.
// It replaces {latest} with the time from which on times are such, and {present} with the present.
func (s *Store) decidedAt(statement string) string {
	now := time.Now()
	present, latest := strconv.FormatInt(now.UnixMicro(), 10), strconv.FormatInt(now.Add(s.maxAhead).UnixMicro(), 10)
	for _, table := range []string{"excluded", "members"} {
		const written = `(CASE WHEN T.confirmed > T.delivered THEN T.confirmed ELSE T.delivered END)`
		const expression = `(CASE WHEN T.at - WRITTEN > MOST + PLAUSIBLE THEN WRITTEN WHEN T.at - WRITTEN > MOST THEN WRITTEN + MOST ELSE T.at END)`
		sql := strings.ReplaceAll(expression, "WRITTEN", written)
		sql = strings.NewReplacer("T.", table+".", "MOST", strconv.FormatInt(s.maxAhead.Microseconds(), 10),
			"PLAUSIBLE", strconv.FormatInt(event.MaxPlausible.Microseconds(), 10)).Replace(sql)
		statement = strings.ReplaceAll(statement, "{decided "+table+"}", "(CASE WHEN "+sql+" > {latest} THEN 0 ELSE "+sql+" END)")
	}
	return strings.NewReplacer("{present}", present, "{latest}", latest).Replace(statement)
}

// mergeAudience moves the members of audience $1 to audience $2 and deletes audience $1. Every statement uses both parameters.
// Marks that are ahead of the clock are limited as in limitMarks. A mark of a sync is first written into the rows, because it does not hold for the rows of the other audience. The history of an identity
// continues behind that of both.
var mergeAudience = [...]string{
	`UPDATE audiences SET purged = CASE WHEN purged > {latest} THEN {present} ELSE purged END, decided = CASE WHEN decided > {latest} THEN {present} ELSE decided END
		WHERE id IN ($1, $2) AND (purged > {latest} OR decided > {latest})`,
	`UPDATE members SET at = a.decided, confirmed = a.decided FROM audiences a
		WHERE a.id = members.audience AND a.id IN ($1, $2) AND members.at < a.decided AND (a.purged IS NULL OR members.at >= a.purged)`,
	`UPDATE doubts SET audience = $2, id = id + (SELECT COALESCE(MAX(id), 0) FROM doubts WHERE audience = $2) WHERE audience = $1`,
	`UPDATE members SET turns = o.turns FROM members o
		WHERE o.audience = $1 AND members.audience = $2 AND o.identity = members.identity AND o.turns > members.turns`,
	`INSERT INTO members (audience, identity, member, doubt, turns, at, delivered, confirmed, sent)
		SELECT CAST($2 AS BIGINT), identity, member, doubt, turns, at, delivered, confirmed, sent FROM members WHERE audience = $1
		ON CONFLICT (audience, identity) DO UPDATE SET member = excluded.member, doubt = excluded.doubt,
			at = excluded.at, delivered = excluded.delivered, confirmed = excluded.confirmed, sent = excluded.sent
		WHERE excluded.at IS NOT NULL AND (members.at IS NULL OR {decided excluded} > {decided members})`,
	`INSERT INTO history (audience, identity, slot, decided, at, member, outcome, reason)
		SELECT CAST($2 AS BIGINT), identity, slot, decided, at, member, outcome, reason FROM history WHERE audience = $1
		ON CONFLICT (audience, identity, slot) DO NOTHING`,
	`UPDATE audiences SET members = (SELECT COUNT(*) FROM members WHERE audience = $2 AND member = 1),
		purged = (SELECT MAX(purged) FROM audiences WHERE id IN ($1, $2)),
		decided = (SELECT CASE WHEN COUNT(decided) = 2 THEN MIN(decided) END FROM audiences WHERE id IN ($1, $2)) WHERE id = $2`,
	`DELETE FROM history WHERE audience = $1 AND CAST($2 AS BIGINT) IS NOT NULL`,
	`DELETE FROM members WHERE audience = $1 AND CAST($2 AS BIGINT) IS NOT NULL`,
	`DELETE FROM audiences WHERE id = $1 AND CAST($2 AS BIGINT) IS NOT NULL`,
}
