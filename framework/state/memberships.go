package state

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/state/sortedfile"
)

// pageSize is the number of rows that are read at a time.
const pageSize = 1000

// Membership is the recorded state of one identity in one audience.
type Membership struct {
	destination.Record
	Identity  string
	Delivered time.Time // when the destination accepted the last change; zero if it never did
	Confirmed time.Time // when a later event last repeated the same state; zero if none did
}

// HistoryEntry is one earlier outcome in an identity's history.
type HistoryEntry struct {
	Decided time.Time // when the outcome was recorded
	At      time.Time // the time of the event
	Member  bool      // true for an entry, false for an exit
	Outcome string    // delivered, skipped, refused or retry
	Reason  string
}

func (e *memberRow) toMembership(a *audienceRow) Membership {
	return Membership{e.toRecord(a), e.identity, timeOf(e.delivered), timeOf(e.confirmed)}
}

// Audience returns an audience by its id; ok is false if the ledger has no audience with this id.
func (l *Ledger) Audience(ctx context.Context, id string) (size destination.AudienceSize, ok bool, err error) {
	a, err := l.findAudience(ctx, l.store.db, id, "")
	if errors.Is(err, sql.ErrNoRows) {
		return size, false, nil
	}
	size = destination.AudienceSize{
		Audience: destination.Audience{ID: id, Name: fromSQL.Replace(a.name)}, Members: int(a.members), Purged: timeOf(a.purged),
	}
	if err != nil {
		return size, false, fault.StateUnavailable("reading the ledger", err)
	}
	return size, true, nil
}

// Each calls f for every identity after the given one that the ledger has in an audience, members or not, in byte order. It reads
// page by page and sees concurrent changes.
func (l *Ledger) Each(ctx context.Context, audienceID, after string, f func(Membership) error) error {
	a, err := l.findAudience(ctx, l.store.db, audienceID, "")
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return fault.StateUnavailable("reading the ledger", err)
	}
	read := func(after string) ([]Membership, error) {
		if err := l.settle(ctx, audienceID); err != nil { // also what was written since the last page
			return nil, err
		}
		return l.readPage(ctx, a, after)
	}
	return eachPage(after, read, func(m Membership) string { return m.Identity }, f)
}

// eachPage calls f for each row of the pages that read returns, which are full but the last. A page begins after the identity of the row before.
func eachPage[T any](after string, read func(after string) ([]T, error), identityOf func(T) string, f func(T) error) error {
	for {
		page, err := read(after)
		if err != nil {
			return fault.StateUnavailable("reading the ledger", err)
		}
		for _, row := range page {
			if err := f(row); err != nil {
				return err
			}
		}
		if len(page) < pageSize {
			return nil
		}
		after = identityOf(page[len(page)-1])
	}
}

// readPage returns up to pageSize memberships after an identity.
func (l *Ledger) readPage(ctx context.Context, a *audienceRow, after string) ([]Membership, error) {
	return readStored(ctx, l.store, a, after, make([]Membership, 0, pageSize), l.readTablePage, func(identity, value string) (Membership, bool, error) {
		c, err := decodeFileRow(value)
		e := c.expand(strings.Clone(identity))
		e.at = clampTime(e.at, e.delivered, e.confirmed, l.store.maxAhead)
		return e.toMembership(a), true, err
	})
}

// readStored appends up to pageSize rows of an audience after an identity to a page: with readTable if they are in the tables, and with decode if they are in files.
// decode reports whether a row is wanted; identity and value are valid during the call.
func readStored[T any](ctx context.Context, s *Store, a *audienceRow, after string, page []T,
	readTable func(ctx context.Context, a *audienceRow, after string, page []T) ([]T, error), decode func(identity, value string) (row T, wanted bool, err error),
) ([]T, error) {
	err := s.withMemberFiles(ctx, s.db, a.id, unknownMerge, func(files []*sortedfile.Reader) (err error) {
		if page = page[:0]; len(files) == 0 {
			page, err = readTable(ctx, a, after, page)
			return err
		}
		return eachVersion(files, after, func(identity string, values []string) error {
			row, wanted, err := decode(identity, values[0])
			if wanted {
				page = append(page, row)
			}
			if err == nil && len(page) == pageSize {
				err = errEnough
			}
			return err
		})
	})
	return page, err
}

// readTablePage is readPage for the tables.
func (l *Ledger) readTablePage(ctx context.Context, a *audienceRow, after string, page []Membership) ([]Membership, error) {
	rows, err := l.store.db.QueryContext(ctx, `SELECT identity, member, doubt, turns, at, delivered, confirmed, sent FROM members
		WHERE audience = $1 AND identity > $2 ORDER BY identity LIMIT $3`, a.id, toSQL.Replace(after), pageSize)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		e := &memberRow{}
		if err := e.scanRow(rows, l.store.maxAhead); err != nil {
			return nil, err
		}
		page = append(page, e.toMembership(a))
	}
	return page, rows.Err()
}

// MemberState is the part of a membership that says whether a change must be sent.
type MemberState struct{ Member, Uncertain bool }

// eachState is Each for the states alone, of all identities.
func (l *Ledger) eachState(ctx context.Context, audienceID string, f func(identity string, state MemberState) error) error {
	a, err := l.findAudience(ctx, l.store.db, audienceID, "")
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err == nil && a.purged.Valid { // then a state depends on its time
		return l.Each(ctx, audienceID, "", func(m Membership) error { return f(m.Identity, MemberState{m.Member, m.Uncertain}) })
	}
	if err != nil {
		return fault.StateUnavailable("reading the ledger", err)
	}
	var page []identityState
	read := func(after string) (_ []identityState, err error) {
		if err = l.settle(ctx, audienceID); err == nil {
			page, err = l.readStates(ctx, a, after, page[:0])
		}
		return page, err
	}
	return eachPage("", read, func(row identityState) string { return row.identity }, func(row identityState) error { return f(row.identity, row.state) })
}

// identityState is the state of one identity.
type identityState struct {
	identity string
	state    MemberState
}

// readStates appends up to pageSize states after an identity to a page.
func (l *Ledger) readStates(ctx context.Context, a *audienceRow, after string, page []identityState) ([]identityState, error) {
	return readStored(ctx, l.store, a, after, page, l.readTableStates, func(identity, value string) (identityState, bool, error) {
		flags, err := fileRowFlags(value)
		return identityState{strings.Clone(identity), MemberState{flags&isMember != 0, flags&isUncertain != 0}}, true, err
	})
}

// readTableStates is readStates for the tables. Reading few columns is what makes it fast.
func (l *Ledger) readTableStates(ctx context.Context, a *audienceRow, after string, page []identityState) ([]identityState, error) {
	rows, err := l.store.db.QueryContext(ctx, `SELECT identity, member + 2 * doubt FROM members
		WHERE audience = $1 AND identity > $2 ORDER BY identity LIMIT $3`, a.id, toSQL.Replace(after), pageSize)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var identity string
		var flags int
		if err := rows.Scan(&identity, &flags); err != nil {
			return nil, err
		}
		page = append(page, identityState{fromSQL.Replace(identity), MemberState{flags&1 != 0, flags&2 != 0}})
	}
	return page, rows.Err()
}

// EachChanged calls f for every identity, in byte order, whose state may have been recorded since a time, or which is uncertain. It may also call f for
// others. It finds changes that processes record whose clocks are up to five minutes slow, and costs a fraction of reading all states.
func (l *Ledger) EachChanged(ctx context.Context, audienceID string, since time.Time, f func(identity string) error) error {
	a, err := l.findAudience(ctx, l.store.db, audienceID, "")
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err == nil {
		err = l.settle(ctx, audienceID)
	}
	if err != nil {
		return fault.StateUnavailable("reading the ledger", err)
	}
	read := func(after string) ([]string, error) { return l.readChanged(ctx, a, after, since.Add(-maxSlow)) }
	return eachPage("", read, func(identity string) string { return identity }, f)
}

// maxSlow is how much slower than this machine's the clocks of others may be.
const maxSlow = 5 * time.Minute

// readChanged returns up to pageSize identities after another, whose state was recorded since a time or is uncertain.
func (l *Ledger) readChanged(ctx context.Context, a *audienceRow, after string, since time.Time) ([]string, error) {
	readTable := func(ctx context.Context, a *audienceRow, after string, page []string) ([]string, error) {
		return l.readTableChanged(ctx, a, after, since, page)
	}
	return readStored(ctx, l.store, a, after, nil, readTable, func(identity, value string) (string, bool, error) {
		c, err := decodeFileRow(value)
		if least := since.UnixMicro(); c.delivered < least && c.confirmed < least && c.flags&isUncertain == 0 {
			return "", false, err
		}
		return strings.Clone(identity), true, err
	})
}

// readTableChanged is readChanged for the tables.
func (l *Ledger) readTableChanged(ctx context.Context, a *audienceRow, after string, since time.Time, page []string) ([]string, error) {
	rows, err := l.store.db.QueryContext(ctx, `SELECT identity FROM members
		WHERE audience = $1 AND identity > $2 AND (delivered >= $3 OR confirmed >= $3 OR doubt <> 0) ORDER BY identity LIMIT $4`,
		a.id, toSQL.Replace(after), since.UnixMicro(), pageSize)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var identity string
		if err := rows.Scan(&identity); err != nil {
			return nil, err
		}
		page = append(page, fromSQL.Replace(identity))
	}
	return page, rows.Err()
}

// Memberships returns the memberships of identities, index by index. The Identity of those that the ledger does not have is empty.
func (l *Ledger) Memberships(ctx context.Context, audienceID string, identities []string) ([]Membership, error) {
	list := make([]Membership, len(identities))
	v, err := l.readView(ctx, l.store.hot, audienceID, nil, identities)
	if errors.Is(err, sql.ErrNoRows) {
		return list, nil
	}
	if err != nil {
		return nil, fault.StateUnavailable("reading the ledger", err)
	}
	for i, identity := range identities {
		if e := v.rows[identity]; e != nil {
			list[i] = e.toMembership(v.audience)
		}
	}
	return list, nil
}

// Find returns one identity of an audience with its history, newest last; ok is false if the ledger does not have the identity.
// The last delivery is in the Membership, not in the history.
func (l *Ledger) Find(ctx context.Context, audienceID, identity string) (s Membership, history []HistoryEntry, ok bool, err error) {
	v, err := l.readView(ctx, l.store.hot, audienceID, nil, []string{identity})
	if errors.Is(err, sql.ErrNoRows) {
		return s, nil, false, nil
	}
	if err == nil && v.rows[identity] == nil {
		return s, nil, false, nil
	}
	if err == nil {
		history, err = l.readHistory(ctx, v.audience.id, identity)
	}
	if err != nil {
		return s, nil, false, fault.StateUnavailable("reading the ledger", err)
	}
	return v.rows[identity].toMembership(v.audience), history, true, nil
}

// readHistory returns the history of an identity, newest last.
func (l *Ledger) readHistory(ctx context.Context, audience int64, identity string) ([]HistoryEntry, error) {
	slots, err := unmergedHistory(ctx, l.store.hot, audience, identity) // first: it may be merged in between
	if err != nil {
		return nil, err
	}
	merged, err := l.mergedHistory(ctx, audience, identity)
	for _, h := range merged {
		if newer, ok := slots[h.slot]; !ok || newer.decided < h.decided {
			slots[h.slot] = h
		}
	}
	var list []HistoryEntry
	for _, slot := range slices.Sorted(maps.Keys(slots)) {
		h := slots[slot]
		list = append(list, HistoryEntry{time.UnixMicro(h.decided).UTC(), time.UnixMicro(h.at).UTC(), h.member, h.outcome, h.reason})
	}
	slices.SortStableFunc(list, func(a, b HistoryEntry) int { return a.Decided.Compare(b.Decided) })
	return list, err
}

// mergedHistory returns the history of an identity that is not in unmerged writes.
func (l *Ledger) mergedHistory(ctx context.Context, audience int64, identity string) (list []historyRow, err error) {
	err = l.store.withMemberFiles(ctx, l.store.hot, audience, unknownMerge, func(files []*sortedfile.Reader) error {
		if list = nil; len(files) > 0 {
			list, err = historyInFiles(files, identity)
			return err
		}
		return eachRow(ctx, l.store.hot, func(rows *sql.Rows) error {
			h, err := scanHistory(rows, new(string))
			list = append(list, h)
			return err
		}, `SELECT identity, slot, decided, at, member, outcome, reason FROM history WHERE audience = $1 AND identity = $2`, audience, toSQL.Replace(identity))
	})
	return list, err
}

// scanHistory reads a row of the table history, and its identity as it is in the table.
func scanHistory(rows *sql.Rows, identity *string) (h historyRow, err error) {
	var member int
	err = rows.Scan(identity, &h.slot, &h.decided, &h.at, &member, &h.outcome, &h.reason)
	h.member, h.outcome, h.reason = member != 0, fromSQL.Replace(h.outcome), fromSQL.Replace(h.reason)
	return h, err
}

func sortSizes(sizes []destination.AudienceSize) {
	slices.SortFunc(sizes, func(a, b destination.AudienceSize) int { return cmp.Compare(a.ID, b.ID) })
}
