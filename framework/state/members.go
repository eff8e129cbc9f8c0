package state

import (
	"context"
	"database/sql"
	"errors"
	"strconv"
	"time"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
)

var _ interface {
	destination.State
	destination.Members
} = (*Ledger)(nil)

// audience is one row of audiences.
type audience struct {
	id      int64
	name    string
	members int64
	purged  sql.NullInt64
}

// entry is one row of members.
type entry struct {
	identity             string
	member, doubt        bool
	turns                int64
	at                   sql.NullInt64
	delivered, confirmed sql.NullInt64
	touched              bool // it is to be written
}

// record is the entry as handlers see it. Of those that are older than the purge nobody is in.
func (e *entry) record(purged sql.NullInt64) destination.Record {
	if purged.Valid && (!e.at.Valid || e.at.Int64 < purged.Int64) {
		return destination.Record{Known: true, At: timeOf(purged), Doubt: e.doubt}
	}
	return destination.Record{Known: e.at.Valid, Member: e.member, At: timeOf(e.at), Doubt: e.doubt}
}

// timeOf is a column's time in UTC, zero where it is null.
func timeOf(micros sql.NullInt64) time.Time {
	if !micros.Valid {
		return time.Time{}
	}
	return time.UnixMicro(micros.Int64).UTC()
}

func micros(t time.Time) sql.NullInt64 { return sql.NullInt64{Int64: t.UnixMicro(), Valid: true} }

// querier is a database or a transaction.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// Look is what is recorded for identities.
func (l *Ledger) Look(ctx context.Context, audienceID string, identities []string) ([]destination.Record, error) {
	records := make([]destination.Record, len(identities))
	a, err := l.audience(ctx, l.store.db, audienceID, "")
	if errors.Is(err, sql.ErrNoRows) {
		return records, nil
	}
	if err != nil {
		return nil, fault.StateUnavailable("reading the ledger", err)
	}
	entries, err := l.entries(ctx, l.store.db, a.id, identities)
	if err != nil {
		return nil, fault.StateUnavailable("reading the ledger", err)
	}
	for i, identity := range identities {
		e := entries[identity]
		if e == nil {
			e = &entry{}
		}
		records[i] = e.record(a.purged)
	}
	return records, nil
}

func (l *Ledger) audience(ctx context.Context, q querier, id, lock string) (*audience, error) {
	a := &audience{}
	err := q.QueryRowContext(ctx, `SELECT id, name, members, purged FROM audiences WHERE instance = $1 AND audience = $2 `+lock,
		l.instance, toSQL.Replace(id)).Scan(&a.id, &a.name, &a.members, &a.purged)
	return a, err
}

// entries are the rows that there are of identities.
func (l *Ledger) entries(ctx context.Context, q querier, audience int64, identities []string) (map[string]*entry, error) {
	rows, err := q.QueryContext(ctx, l.store.dialect.query.Replace(`SELECT identity, member, doubt, turns, at, delivered, confirmed
		FROM members WHERE audience = $1 AND identity IN (SELECT j.value ->> 0 FROM {rows})`), audience, identityRows(identities))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	entries := make(map[string]*entry, len(identities))
	for rows.Next() {
		e := &entry{}
		if err := e.scan(rows); err != nil {
			return nil, err
		}
		entries[e.identity] = e
	}
	return entries, rows.Err()
}

func (e *entry) scan(rows *sql.Rows) error {
	var member, doubt int
	if err := rows.Scan(&e.identity, &member, &doubt, &e.turns, &e.at, &e.delivered, &e.confirmed); err != nil {
		return err
	}
	e.at = plausible(e.at, e.delivered, e.confirmed)
	e.identity, e.member, e.doubt = fromSQL.Replace(e.identity), member != 0, doubt != 0
	return nil
}

// maxAhead is how far the time of an entry may lie ahead of the server's clock when the entry was written.
const maxAhead = time.Minute

// plausible returns the time of an entry, or the time at which it was last written if its own lies more than maxAhead after that:
// earlier versions recorded the times of clocks that were wrong, and no later event could change such an entry.
func plausible(at, delivered, confirmed sql.NullInt64) sql.NullInt64 {
	written := delivered
	if confirmed.Valid && confirmed.Int64 > written.Int64 {
		written = confirmed
	}
	if at.Valid && written.Valid && at.Int64-written.Int64 > maxAhead.Microseconds() {
		return written
	}
	return at
}

// identityRows is a JSON array of rows of one column.
func identityRows(identities []string) string {
	text := append(make([]byte, 0, 32*len(identities)+2), '[')
	for i, identity := range identities {
		if i > 0 {
			text = append(text, ',')
		}
		text = append(event.AppendString(append(text, '['), toSQL.Replace(identity)), ']')
	}
	return string(append(text, ']'))
}

// Sizes are the audiences of the instance, sorted by id.
func (l *Ledger) Sizes(ctx context.Context) ([]destination.AudienceSize, error) {
	rows, err := l.store.db.QueryContext(ctx, `SELECT audience, name, members, purged FROM audiences WHERE instance = $1`, l.instance)
	if err != nil {
		return nil, fault.StateUnavailable("reading the ledger", err)
	}
	defer rows.Close()
	var sizes []destination.AudienceSize
	for rows.Next() {
		var size destination.AudienceSize
		var purged sql.NullInt64
		if err := rows.Scan(&size.ID, &size.Name, &size.Members, &purged); err != nil {
			return nil, fault.StateUnavailable("reading the ledger", err)
		}
		size.ID, size.Name, size.Purged = fromSQL.Replace(size.ID), fromSQL.Replace(size.Name), timeOf(purged)
		sizes = append(sizes, size)
	}
	sortSizes(sizes)
	return sizes, rows.Err()
}

// appendNumber appends a nullable column.
func appendNumber(text []byte, n sql.NullInt64) []byte {
	if !n.Valid {
		return append(text, "null"...)
	}
	return strconv.AppendInt(text, n.Int64, 10)
}

func appendBool(text []byte, b bool) []byte {
	if b {
		return append(text, '1')
	}
	return append(text, '0')
}
