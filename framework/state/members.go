package state

import (
	"context"
	"database/sql"
	"errors"
	"maps"
	"time"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/state/sortedfile"
)

var _ interface {
	destination.State
	destination.Members
	destination.MemberUpdater
} = (*Ledger)(nil)

// audienceRow is one row of the table audiences.
type audienceRow struct {
	id      int64
	name    string
	members int64
	purged  sql.NullInt64 // no membership from before it counts
	decided sql.NullInt64 // no membership counts as older than it
	merged  int64         // last row of the unmerged writes that was merged
	latest  int64         // a later time, in µs, is that of a clock that was ahead when it was recorded; 0 for no limit
}

// isFuture reports whether a time was recorded with a clock that was ahead. What happens now is newer than that.
func (a *audienceRow) isFuture(micros sql.NullInt64) bool {
	return a.latest > 0 && micros.Valid && micros.Int64 > a.latest
}

// memberRow is one row of the table members.
type memberRow struct {
	identity             string
	member, doubt        bool
	turns                int64
	at                   sql.NullInt64
	delivered, confirmed sql.NullInt64
	sent                 sql.NullInt64 // if in doubt, the time of the event that was sent last
	changed              bool          // must be saved
	added                []historyRow  // must be saved, at most MaxHistory
}

// toRecord returns the row as a Record. A change that was sent and is not recorded supersedes older ones.
func (e *memberRow) toRecord(a *audienceRow) destination.Record {
	r := e.recorded(a)
	if sent := timeOf(e.sent); e.doubt && e.sent.Valid && sent.After(r.At) && !a.isFuture(e.sent) {
		r.At = sent
	}
	return r
}

// recorded returns what is recorded of a row, as the audience's last purge and sync decide it. A row from before the purge is not a
// member, but the remote may still have it as one until its exit is sent. Both also decide identities that have no row.
func (e *memberRow) recorded(a *audienceRow) destination.Record {
	at := e.at
	if a.isFuture(at) {
		at = sql.NullInt64{}
	}
	r := destination.Record{Known: e.at.Valid, Member: e.member, At: timeOf(at), Uncertain: e.doubt}
	if a.purged.Valid && (!at.Valid || at.Int64 < a.purged.Int64) {
		r = destination.Record{Known: true, At: timeOf(a.purged), Uncertain: e.doubt || e.member}
	}
	if decided := timeOf(a.decided); a.decided.Valid && (!r.Known || r.At.Before(decided)) {
		r.Known, r.At = true, decided
	}
	return r
}

// timeOf converts a nullable column to a UTC time; null becomes the zero time.
func timeOf(micros sql.NullInt64) time.Time {
	if !micros.Valid {
		return time.Time{}
	}
	return time.UnixMicro(micros.Int64).UTC()
}

func toMicros(t time.Time) sql.NullInt64 { return sql.NullInt64{Int64: t.UnixMicro(), Valid: true} }

// sentMicros is toMicros for the time of a change that is sent; the zero time becomes null.
func sentMicros(t time.Time) sql.NullInt64 {
	if t.IsZero() {
		return sql.NullInt64{}
	}
	return toMicros(t)
}

// querier is implemented by a database and a transaction.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// eachRow calls visit for each row of a query.
func eachRow(ctx context.Context, q querier, visit func(*sql.Rows) error, query string, args ...any) error {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := visit(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// execer is a database or a transaction.
type execer interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

// execCount runs a statement and returns how many rows it has changed.
func execCount(ctx context.Context, e execer, statement string, args ...any) (int64, error) {
	done, err := e.ExecContext(ctx, statement, args...)
	if err != nil {
		return 0, err
	}
	return done.RowsAffected()
}

// Lookup returns the records of identities, index by index.
func (l *Ledger) Lookup(ctx context.Context, audienceID string, identities []string) ([]destination.Record, error) {
	records := make([]destination.Record, len(identities))
	v, err := l.readView(ctx, l.store.hot, audienceID, nil, identities)
	if errors.Is(err, sql.ErrNoRows) {
		return records, nil
	}
	if err != nil {
		return nil, fault.StateUnavailable("reading the ledger", err)
	}
	for i, identity := range identities {
		e := v.rows[identity]
		if e == nil {
			e = &memberRow{}
		}
		records[i] = e.toRecord(v.audience)
	}
	return records, nil
}

// findAudience returns the row of an audience, or sql.ErrNoRows. lock is "" or the dialect's locking clause.
func (l *Ledger) findAudience(ctx context.Context, q querier, id, lock string) (*audienceRow, error) {
	a := &audienceRow{}
	err := q.QueryRowContext(ctx, `SELECT id, name, members, purged, decided, COALESCE(merged, 0) FROM audiences WHERE instance = $1 AND audience = $2 `+lock,
		l.instance, toSQL.Replace(id)).Scan(&a.id, &a.name, &a.members, &a.purged, &a.decided, &a.merged)
	a.latest = time.Now().Add(l.store.maxAhead).UnixMicro()
	return a, err
}

// ledgerView is what readView returns.
type ledgerView struct {
	audience *audienceRow
	rows     map[string]*memberRow // existing rows, and rows of identities that are in doubt
	doubts   []doubtRow
	seen     int64 // last row of the unmerged writes that rows include
}

// readView returns the rows of identities, and the audience's requests in flight. In a transaction, audience is its locked row; otherwise it
// is nil. It reads the doubts first: a doubt may move to its row in between, not from there.
func (l *Ledger) readView(ctx context.Context, q querier, id string, locked *audienceRow, identities []string) (*ledgerView, error) {
	recent, v := l.store.recentOf(l.instance, id), &ledgerView{audience: locked}
	for {
		audience, seen := recent.position()
		var err error
		switch {
		case locked != nil && audience != locked.id:
			audience, seen = locked.id, 0
		case locked == nil && audience == 0:
			row, err := l.findAudience(ctx, q, id, "")
			if err != nil {
				return nil, err
			}
			audience, seen = row.id, 0
		}
		var writes []unmergedWrite
		if v.doubts, writes, err = readPending(ctx, q, audience, seen); err != nil {
			return nil, err
		}
		if locked == nil {
			if v.audience, err = l.findAudience(ctx, q, id, ""); err != nil {
				recent.forget()
				return nil, err
			}
		}
		if v.audience.id != audience {
			recent.forget()
			continue // it was deleted and created again
		}
		rows, missing, last, ok, err := recent.view(v.audience, writes, seen, identities, l.store.maxAhead)
		if err != nil {
			return nil, err
		}
		if ok {
			v.rows, v.seen = rows, last
			return v, l.completeView(ctx, q, v, recent, missing, identities)
		}
	}
}

// completeView reads the rows that are not in memory, and applies the doubts.
func (l *Ledger) completeView(ctx context.Context, q querier, v *ledgerView, recent *recentRows, missing, identities []string) error {
	if len(missing) > 0 {
		rows, err := l.readMembers(ctx, q, v.audience, missing)
		if err != nil {
			return err
		}
		if rows == nil {
			recent.keepNone(v.audience)
		} else {
			l.store.limitRead()
			recent.keep(v.audience, missing, rows)
		}
		if len(v.rows) == 0 && len(rows) > 0 {
			v.rows = rows
		} else {
			maps.Copy(v.rows, rows)
		}
	}
	if len(v.doubts) > 0 {
		applyDoubts(v.doubts, v.rows, identities)
	}
	return nil
}

// readMembers returns the existing rows of identities; nil if neither the tables nor files have rows of the audience, and that can be kept in memory.
func (l *Ledger) readMembers(ctx context.Context, q querier, a *audienceRow, identities []string) (rows map[string]*memberRow, err error) {
	err = l.store.withMemberFiles(ctx, q, a.id, a.merged, func(files []*sortedfile.Reader) (err error) {
		if len(files) == 0 {
			rows, err = l.readTable(ctx, q, a.id, identities)
			return err
		}
		rows, err = findInFiles(files, identities, l.store.maxAhead)
		return err
	})
	return rows, err
}

// readTable returns the rows of identities in the table members; nil if it has none of the audience, which costs less to find out, and can be kept.
func (l *Ledger) readTable(ctx context.Context, q querier, audience int64, identities []string) (map[string]*memberRow, error) {
	if l.store.keepsRecent() {
		var any bool
		err := q.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM members WHERE audience = $1)`, audience).Scan(&any)
		if err != nil || !any {
			return nil, err
		}
	}
	rows, err := q.QueryContext(ctx, l.store.dialect.query.Replace(`SELECT identity, member, doubt, turns, at, delivered, confirmed, sent
		FROM members WHERE audience = $1 AND identity {listed}`), audience, l.store.dialect.list(identities))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	members := make(map[string]*memberRow, len(identities))
	for rows.Next() {
		e := &memberRow{}
		if err := e.scanRow(rows, l.store.maxAhead); err != nil {
			return nil, err
		}
		members[e.identity] = e
	}
	return members, rows.Err()
}

// scanRow reads a row of members. maxAhead is the store's.
func (e *memberRow) scanRow(rows *sql.Rows, maxAhead time.Duration) error {
	err := e.scanStored(rows)
	e.at = clampTime(e.at, e.delivered, e.confirmed, maxAhead)
	return err
}

// scanStored is scanRow without clampTime.
func (e *memberRow) scanStored(rows *sql.Rows) error {
	var member, doubt int
	err := rows.Scan(&e.identity, &member, &doubt, &e.turns, &e.at, &e.delivered, &e.confirmed, &e.sent)
	e.identity, e.member, e.doubt = fromSQL.Replace(e.identity), member != 0, doubt != 0
	return err
}

// clampTime returns at, limited by event.LimitFuture to maxAhead after the last write. Earlier versions recorded event times from wrong
// clocks, and no later event could change such a row.
func clampTime(at, delivered, confirmed sql.NullInt64, maxAhead time.Duration) sql.NullInt64 {
	written := delivered
	if confirmed.Valid && confirmed.Int64 > written.Int64 {
		written = confirmed
	}
	if !at.Valid || !written.Valid || at.Int64 <= written.Int64 {
		return at
	}
	decides, _ := event.LimitFuture(time.UnixMicro(at.Int64), time.UnixMicro(written.Int64), maxAhead)
	return toMicros(decides)
}

// identityList encodes identities as a JSON array.
func identityList(identities []string) string {
	text := append(make([]byte, 0, 32*len(identities)+2), '[')
	for i, identity := range identities {
		if i > 0 {
			text = append(text, ',')
		}
		text = event.AppendString(text, toSQL.Replace(identity))
	}
	return string(append(text, ']'))
}

// Sizes returns the audiences of the instance with their sizes, sorted by id.
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
	if err := rows.Err(); err != nil {
		return nil, fault.StateUnavailable("reading the ledger", err)
	}
	sortSizes(sizes)
	return sizes, nil
}
