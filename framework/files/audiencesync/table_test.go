package audiencesync_test

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/files/audiencesync"
)

// memoryTable is a table of one column.
type memoryTable struct {
	column audiencesync.Column
	values []string
	end    error
}

func (m *memoryTable) Columns() []audiencesync.Column { return []audiencesync.Column{m.column} }
func (m *memoryTable) Use([]int)                      {}

func (m *memoryTable) Next() ([]string, error) {
	if len(m.values) == 0 {
		return nil, m.end
	}
	row := m.values[:1]
	m.values = m.values[1:]
	return row, nil
}

func tableRows(t *testing.T, k *audiencesync.Syncer, typeName string, o audiencesync.Options, end error, values ...string) *audiencesync.Rows {
	t.Helper()
	o.Identifiers = k.Audiences.Identifiers
	rows, err := audiencesync.TableRows(&memoryTable{audiencesync.Column{Name: "external_id", Type: typeName}, values, end}, o)
	require.NoError(t, err)
	return rows
}

func TestChangedTypesEndTheSync(t *testing.T) {
	k := syncer(t, func() error { return nil })
	sync := func(typeName, source string) error {
		_, err := k.Sync(t.Context(), vip, tableRows(t, k, typeName, audiencesync.Options{Source: source}, io.EOF, "u1"), audiencesync.Mirror, 1)
		return err
	}
	require.NoError(t, sync("int8", "query 1"))
	require.NoError(t, sync("int8", "query 1"))
	var changed *audiencesync.ColumnsChangedError
	require.ErrorAs(t, sync("text", "query 1"), &changed)
	assert.EqualError(t, changed, "the columns that identify users have changed since the last run, from external_id int8 to external_id text: nothing was sent; use --yes if the identifiers are the same")
	require.NoError(t, sync("text", "query 2"), "another query")
	k.RemoveAll = true
	require.NoError(t, sync("int8", "query 2"))
	k.RemoveAll = false
	require.NoError(t, sync("int8", "query 2"))
}

// TestTablesWithDamagedValues checks that the message about a lost character does not advise options of files.
func TestTablesWithDamagedValues(t *testing.T) {
	k := syncer(t, func() error { return nil })
	err := tableRows(t, k, "text", audiencesync.Options{}, io.EOF, "M\uFFFDller").Next()
	assert.ErrorContains(t, err, "external_id is not valid text in UTF-8, or has the character U+FFFD")
	assert.NotContains(t, err.Error(), "--encoding")
}

// TestTablesWithoutRows checks that an empty list changes no membership, and is no error, as opposed to one without a readable row.
func TestTablesWithoutRows(t *testing.T) {
	k := syncer(t, func() error { return nil })
	for _, mode := range []audiencesync.Mode{audiencesync.Add, audiencesync.Remove} {
		report, err := k.Sync(t.Context(), vip, tableRows(t, k, "text", audiencesync.Options{}, io.EOF), mode, 1)
		require.NoError(t, err)
		assert.Equal(t, []int{0, 0, 0}, []int{report.Rows, report.Enters, report.Exits})
	}
	_, err := k.Sync(t.Context(), vip, tableRows(t, k, "text", audiencesync.Options{}, io.EOF, "M\uFFFDller"), audiencesync.Add, 1)
	var none *audiencesync.NoUsersError
	assert.ErrorAs(t, err, &none)
}

func TestIncompleteTableSendsNothing(t *testing.T) {
	requests := 0
	k := syncer(t, func() error { requests++; return nil })
	_, err := k.Sync(t.Context(), vip, tableRows(t, k, "", audiencesync.Options{}, io.EOF, "u1", "u2"), audiencesync.Mirror, 1)
	require.NoError(t, err)
	requests = 0
	lost := errors.New("the connection is lost")
	_, err = k.Sync(t.Context(), vip, tableRows(t, k, "", audiencesync.Options{}, lost, "u1", "u3"), audiencesync.Mirror, 1)
	require.ErrorIs(t, err, lost)
	assert.Zero(t, requests)
}

// TestNewestDecisionOfQueriesAndEventsWins runs queries between events in random order. Each has a time, at which an event occurred or
// a snapshot was taken, and they take effect in another order.
func TestNewestDecisionOfQueriesAndEventsWins(t *testing.T) {
	const users, steps = 8, 40
	for seed := range uint64(4) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 1))
			k := syncer(t, func() error { return nil })
			start := time.Now().Add(-time.Hour).Truncate(time.Second)
			type decision struct {
				at     time.Time
				member bool
			}
			newest := map[string]decision{}
			decide := func(user string, at time.Time, member bool) {
				if !at.Before(newest[user].at) {
					newest[user] = decision{at, member}
				}
			}
			for step := range steps {
				at := start.Add(time.Duration(step*10+random.IntN(200)) * time.Second).Add(time.Duration(step)) // no two are equal
				mode := []audiencesync.Mode{"event", "event", audiencesync.Mirror, audiencesync.Add, audiencesync.Remove}[random.IntN(5)]
				var listed []string
				in := map[string]bool{}
				for i := range users {
					if user := fmt.Sprint("u", i); random.IntN(2) == 0 {
						listed, in[user] = append(listed, user), true
					}
				}
				if mode == "event" {
					user, member := fmt.Sprint("u", random.IntN(users)), random.IntN(2) == 0
					sendEvent(t, k, user, member, at)
					decide(user, at, member)
					continue
				}
				_, err := k.Sync(t.Context(), vip, tableRows(t, k, "", audiencesync.Options{At: at}, io.EOF, listed...), mode, 1)
				require.NoError(t, err)
				for i := range users {
					if user := fmt.Sprint("u", i); in[user] || mode == audiencesync.Mirror {
						decide(user, at, in[user] && mode != audiencesync.Remove)
					}
				}
			}
			for i := range users {
				user := fmt.Sprint("u", i)
				records, err := k.Ledger.Lookup(t.Context(), vip.ID, []string{"external_id:" + user})
				require.NoError(t, err)
				assert.Equal(t, newest[user].member, records[0].Member, user)
			}
		})
	}
}

// sendEvent records an event's change as a handler does: only if it is newer than what the ledger has.
func sendEvent(t *testing.T, k *audiencesync.Syncer, user string, member bool, at time.Time) {
	t.Helper()
	require.NoError(t, k.Ledger.Record(t.Context(), vip, []destination.Change{{Identity: "external_id:" + user, Member: member, At: at}}))
}

// bytesTable is an empty table with a column of users and one of bytes.
type bytesTable struct{ memoryTable }

func (t *bytesTable) Columns() []audiencesync.Column {
	return []audiencesync.Column{{Name: "external_id", Type: "text"}, {Name: "photo", Type: "bytea", Bytes: true}, {Name: "audience", Type: "text"}}
}

// TestColumnsWithoutAJSONForm checks that bytes are left out of all properties with a warning, and refused if they were asked for by name.
func TestColumnsWithoutAJSONForm(t *testing.T) {
	open := func(o audiencesync.Options) (*audiencesync.Rows, error) {
		o.Identifiers = []string{"external_id"}
		return audiencesync.TableRows(&bytesTable{memoryTable{end: io.EOF}}, o)
	}
	rows, err := open(audiencesync.Options{Properties: audiencesync.Properties{All: true}})
	require.NoError(t, err)
	assert.Contains(t, rows.Warnings(), "a column was not sent as properties, since their values are bytes or nested: photo")
	for _, o := range []audiencesync.Options{{Properties: audiencesync.Properties{Names: []string{"photo"}}}, {Removed: "photo"}, {Removed: "photo", Properties: audiencesync.Properties{All: true}}} {
		_, err = open(o)
		assert.EqualError(t, err, "the column photo has the type bytea, which has no JSON form: select it as text")
	}
	_, err = open(audiencesync.Options{Removed: "fhoto"})
	assert.ErrorContains(t, err, `has no column "fhoto" that says who leaves (did you mean "photo"?): it has external_id, photo, audience`)
	rows, err = open(audiencesync.Options{})
	require.NoError(t, err)
	assert.Contains(t, rows.Warnings()[1], "all rows were used, whatever their column audience has")
}

// usedTable is a table that fills only the columns that are used.
type usedTable struct {
	columns []audiencesync.Column
	rows    [][]string
	used    []int
}

func (t *usedTable) Columns() []audiencesync.Column { return t.columns }
func (t *usedTable) Use(columns []int)              { t.used = columns }

func (t *usedTable) Next() ([]string, error) {
	if len(t.rows) == 0 {
		return nil, io.EOF
	}
	row := make([]string, len(t.columns))
	for _, at := range t.used {
		row[at] = t.rows[0][at]
	}
	t.rows = t.rows[1:]
	return row, nil
}

// TestAudienceColumnsOfTables checks that only the rows of one audience are used, wherever the column is, and that it must be text.
func TestAudienceColumnsOfTables(t *testing.T) {
	audience, user := audiencesync.Column{Name: "audience", Type: "text"}, audiencesync.Column{Name: "external_id", Type: "text"}
	open := func(rows [][]string, columns ...audiencesync.Column) (*audiencesync.Rows, error) {
		return audiencesync.TableRows(&usedTable{columns: columns, rows: rows}, audiencesync.Options{Identifiers: []string{"external_id"}, Only: audiencesync.RowFilter{Column: "audience", Value: "vip"}})
	}
	first, err := open([][]string{{"vip", "u1"}, {"other", "u2"}, {"vip ", "u3"}}, audience, user)
	require.NoError(t, err)
	last, err := open([][]string{{"u1", "vip"}, {"u2", "other"}, {"u3", "vip"}}, user, audience)
	require.NoError(t, err)
	for _, rows := range []*audiencesync.Rows{first, last} {
		var users []string
		for rows.Next() == nil {
			users = append(users, rows.Value("external_id"))
		}
		assert.Equal(t, []string{"u1", "u3"}, users)
	}
	audience.Type, audience.Unfit = "bytea", "its values are bytes"
	_, err = open(nil, user, audience)
	assert.EqualError(t, err, "the column audience has the type bytea, which cannot name audiences: its values are bytes")
	user.Type, user.Unfit = "float8", "its values are not exact"
	_, err = open(nil, user, audience)
	assert.EqualError(t, err, "the column external_id has the type float8, which cannot identify users: its values are not exact")
}

// TestNothingIsAskedAfterAFailure checks that a query whose ledger fails asks for no removals, and that an error of the caller is the command's.
func TestNothingIsAskedAfterAFailure(t *testing.T) {
	k, closeStore := closableSyncer(t)
	sync := func(values ...string) error {
		_, err := k.Sync(t.Context(), vip, tableRows(t, k, "text", audiencesync.Options{Source: "query 1"}, io.EOF, values...), audiencesync.Mirror, 1)
		return err
	}
	require.NoError(t, sync("u1", "u2"))
	k.OnPlanned = func(string, bool) { closeStore() }
	k.OnRemovals = func(int) error { t.Error("no confirmation may be asked for"); return nil }
	assert.Error(t, sync("u1"))
}
