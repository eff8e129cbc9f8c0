package state

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/landfall-dev/landfall/framework/state/sortedfile"
)

// fileEpoch is what the first time of a row in a member file is a difference from: 2026-01-01 in microseconds since 1970.
const fileEpoch = 1_767_225_600_000_000

// fileKey returns the key of an identity in a member file. Keys are not empty, and in the order of the identities.
func fileKey(identity string) string {
	if identity == "" || identity[0] == 0 {
		return "\x00" + identity
	}
	return identity
}

// identityOf is the inverse of fileKey.
func identityOf(key string) string {
	if key[0] == 0 {
		return key[1:]
	}
	return key
}

// encodeFileRow appends the value of a row in a member file, whose key is the identity.
func encodeFileRow(data []byte, e *memberRow) []byte { return encodeValue(data, e, fileEpoch) }

// decodeFileRow returns the state of a row in a member file.
func decodeFileRow(value string) (compactRow, error) {
	r := &rowReader{rest: value}
	c, _ := r.decodeState(fileEpoch)
	if r.damaged {
		return c, sortedfile.ErrDamaged
	}
	return c, nil
}

// fileRowFlags returns the flags of a row in a member file.
func fileRowFlags(value string) (uint8, error) {
	if value == "" {
		return 0, sortedfile.ErrDamaged
	}
	return value[0], nil
}

// decodeVersions returns the row that the values of an identity in several files make up, newest first, with its whole history.
func decodeVersions(identity string, values []string) (*memberRow, error) {
	var e *memberRow
	for i, value := range values {
		r := &rowReader{rest: value}
		c, last := r.decodeState(fileEpoch)
		added := r.appendHistory(nil, last)
		if r.damaged {
			return nil, sortedfile.ErrDamaged
		}
		if i == 0 {
			e = c.expand(identity)
			e.changed = true
		}
		e.added = append(slices.DeleteFunc(added, e.hasSlot), e.added...)
	}
	e.added = e.added[max(0, len(e.added)-MaxHistory):]
	return e, nil
}

// hasSlot reports whether the added history has a row in the same slot, which replaces this one.
func (e *memberRow) hasSlot(h historyRow) bool {
	return slices.ContainsFunc(e.added, func(other historyRow) bool { return other.slot == h.slot })
}

// errEnough ends the reading of rows early.
var errEnough = errors.New("enough")

// eachVersion calls visit for the identities of files after one, in byte order, with the values of each, newest first, until it returns an error.
// errEnough is no error of eachVersion. The arguments are valid during the call.
func eachVersion(readers []*sortedfile.Reader, after string, visit func(identity string, values []string) error) error {
	if after != "" {
		after = fileKey(after)
	}
	sources := make([]sortedfile.Source, len(readers))
	for i, reader := range readers {
		it := reader.Iterate(after)
		defer it.Close()
		sources[i] = it
	}
	err := sortedfile.Merge(sources, func(key string, values []string) error { return visit(identityOf(key), values) })
	if errors.Is(err, errEnough) {
		return nil
	}
	return err
}

// findInFiles returns the existing rows of identities.
func findInFiles(readers []*sortedfile.Reader, identities []string, maxAhead time.Duration) (map[string]*memberRow, error) {
	keys := make([]string, len(identities))
	for i, identity := range identities {
		keys[i] = fileKey(identity)
	}
	slices.Sort(keys)
	rows := make(map[string]*memberRow, len(keys))
	for _, reader := range readers {
		found := 0
		err := reader.Get(keys, func(i int, value string) error {
			c, err := decodeFileRow(value)
			if err != nil {
				return err
			}
			e := c.expand(identityOf(keys[i]))
			e.at = clampTime(e.at, e.delivered, e.confirmed, maxAhead)
			rows[e.identity] = e
			found++
			return nil
		})
		if err != nil {
			return nil, err
		}
		if found > 0 { // older files have older rows of these
			keys = slices.DeleteFunc(keys, func(key string) bool { return rows[identityOf(key)] != nil })
		}
	}
	return rows, nil
}

// historyInFiles returns the history of an identity, as decodeVersions does.
func historyInFiles(readers []*sortedfile.Reader, identity string) ([]historyRow, error) {
	var values []string
	for _, reader := range readers {
		err := reader.Get([]string{fileKey(identity)}, func(_ int, value string) error {
			values = append(values, strings.Clone(value))
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	if len(values) == 0 {
		return nil, nil
	}
	e, err := decodeVersions(identity, values)
	if err != nil {
		return nil, err
	}
	return e.added, nil
}

// tableRows reads the rows of an audience from the tables, as a source for a file.
type tableRows struct {
	ctx      context.Context
	q        querier
	audience int64
	page     []*memberRow // the current row is the first
	after    string       // condition of the next page, and the identity that it compares with
	last     string
	value    []byte
	err      error
}

func newTableRows(ctx context.Context, q querier, audience int64) *tableRows {
	return &tableRows{ctx: ctx, q: q, audience: audience, after: "identity >= $2"}
}

// Next implements sortedfile.Source.
func (t *tableRows) Next() bool {
	if len(t.page) > 0 {
		t.page = t.page[1:]
	}
	if len(t.page) == 0 && t.err == nil && t.after != "" {
		t.err = t.readPage()
	}
	return t.err == nil && len(t.page) > 0
}

// Key implements sortedfile.Source.
func (t *tableRows) Key() string { return fileKey(t.page[0].identity) }

// Value implements sortedfile.Source.
func (t *tableRows) Value() string {
	t.value = encodeFileRow(t.value[:0], t.page[0])
	return string(t.value)
}

// Err implements sortedfile.Source.
func (t *tableRows) Err() error { return t.err }

// readPage reads the next rows with their history.
func (t *tableRows) readPage() error {
	rows := map[string]*memberRow{}
	err := eachRow(t.ctx, t.q, func(r *sql.Rows) error {
		e := &memberRow{}
		err := e.scanStored(r)
		rows[e.identity], t.page = e, append(t.page, e)
		return err
	}, `SELECT identity, member, doubt, turns, at, delivered, confirmed, sent FROM members WHERE audience = $1 AND `+t.after+` ORDER BY identity LIMIT $3`,
		t.audience, t.last, pageSize)
	if err != nil || len(t.page) == 0 {
		t.after = ""
		return err
	}
	first := toSQL.Replace(t.page[0].identity)
	t.after, t.last = "identity > $2", toSQL.Replace(t.page[len(t.page)-1].identity)
	return eachRow(t.ctx, t.q, func(r *sql.Rows) error {
		var identity string
		h, err := scanHistory(r, &identity)
		if e := rows[fromSQL.Replace(identity)]; e != nil {
			e.added = append(e.added, h)
			slices.SortFunc(e.added, func(a, b historyRow) int { return cmp.Compare(e.turnOf(a), e.turnOf(b)) })
		}
		return err
	}, `SELECT identity, slot, decided, at, member, outcome, reason FROM history WHERE audience = $1 AND identity >= $2 AND identity <= $3`,
		t.audience, first, t.last)
}

// turnOf returns the number of a row of the history: slots are used in turn.
func (e *memberRow) turnOf(h historyRow) int64 {
	return e.turns - 1 - (e.turns-1-h.slot+MaxHistory)%MaxHistory
}
