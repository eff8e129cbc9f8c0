package state

import (
	"database/sql"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/state/statetest"
)

var vipAudience = destination.Audience{ID: "aud_1", Name: "vip"}

func second(n int) time.Time { return time.Unix(int64(n), 0).UTC() }

func openLocal(t *testing.T, dir string) *Store {
	t.Helper()
	s, err := Open(t.Context(), dir)
	require.NoError(t, err)
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// rowsOf counts the rows of a table.
func rowsOf(t *testing.T, s *Store, table string) (n int) {
	t.Helper()
	require.NoError(t, s.db.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM "+table).Scan(&n))
	return n
}

// schemaVersion returns the version of the schema as earlier programs see it.
func schemaVersion(t *testing.T, s *Store) (n int) {
	t.Helper()
	require.NoError(t, s.db.QueryRowContext(t.Context(), "SELECT MAX(version) FROM migrations").Scan(&n))
	return n
}

func TestSentChangesAreEncoded(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		var changes []sentChange
		for range random.IntN(20) {
			c := sentChange{identity: strings.Repeat("ü\x00", random.IntN(200)), at: sql.NullInt64{Int64: random.Int64() - math.MaxInt64/2, Valid: true}}
			if random.IntN(4) == 0 {
				c.at = sql.NullInt64{}
			}
			changes = append(changes, c)
		}
		data := encodeSent(changes)
		got, err := decodeSent(data)
		require.NoError(t, err)
		require.Equal(t, changes, got)
		if n := len(data); n > 0 {
			_, err = decodeSent(data[:n-1])
			require.ErrorIs(t, err, errDamaged)
		}
	}
	_, err := decodeSent([]byte{200, 1, 'u'})
	require.ErrorIs(t, err, errDamaged)
}

// A request in flight is one row until it is recorded, also if it is retried, and many requests become marks of their identities.
func TestRequestsInFlightAreBounded(t *testing.T) {
	s := openLocal(t, t.TempDir())
	l := s.Ledger("main")
	mark := func(changes ...destination.Change) {
		require.NoError(t, l.MarkUncertain(t.Context(), vipAudience, changes))
	}
	request := func(n int) (changes []destination.Change) {
		for i := range 5 {
			changes = append(changes, destination.Change{Identity: fmt.Sprintf("u%d", 5*n+i), Member: true, At: second(n + 1)})
		}
		return changes
	}
	for range 3 {
		mark(request(0)...)
		assert.Equal(t, 1, rowsOf(t, s, "doubts"))
		assert.Zero(t, rowsOf(t, s, "members"))
	}
	require.NoError(t, l.Record(t.Context(), vipAudience, request(0)[:2]))
	assert.Equal(t, 1, rowsOf(t, s, "doubts"), "the other three are in flight")
	require.NoError(t, l.Annotate(t.Context(), vipAudience, []destination.Note{{Identity: "u2", Outcome: "retry"}}))
	require.NoError(t, l.Record(t.Context(), vipAudience, request(0)[3:]))
	assert.Zero(t, rowsOf(t, s, "doubts"), "the doubt of the annotated one is in its row")
	for n := range 3 * maxDoubts {
		mark(request(n + 1)...)
		require.LessOrEqual(t, rowsOf(t, s, "doubts"), maxDoubts)
	}
	var names []string
	for n := range 3 * maxDoubts {
		names = append(names, request(n + 1)[0].Identity)
	}
	records, err := l.Lookup(t.Context(), vipAudience.ID, names)
	require.NoError(t, err)
	for n, r := range records {
		require.Equal(t, destination.Record{At: second(n + 2), Uncertain: true}, r)
	}
	for n := range 3*maxDoubts + 1 {
		require.NoError(t, l.Record(t.Context(), vipAudience, request(n)))
	}
	assert.Zero(t, rowsOf(t, s, "doubts"))
	require.NoError(t, l.Each(t.Context(), vipAudience.ID, "", func(m Membership) error {
		require.False(t, m.Uncertain, m.Identity)
		return nil
	}))
}

// While requests are in flight, earlier programs must not open a file; afterwards they can.
func TestEarlierProgramsMissNoRequestInFlight(t *testing.T) {
	dir := t.TempDir()
	s := openLocal(t, dir)
	change := []destination.Change{{Identity: "u1", Member: true, At: second(5)}}
	assert.Equal(t, 2, schemaVersion(t, s))
	require.NoError(t, s.Ledger("main").MarkUncertain(t.Context(), vipAudience, change))
	assert.Equal(t, doubtsVersion, schemaVersion(t, s))
	require.NoError(t, s.Close()) // as a process that is killed: the request is still in flight
	s = openLocal(t, dir)
	assert.Equal(t, doubtsVersion, schemaVersion(t, s))
	problems, err := CheckFile(t.Context(), filepath.Join(dir, FileName))
	require.NoError(t, err)
	assert.Empty(t, problems)
	records, err := s.Ledger("main").Lookup(t.Context(), vipAudience.ID, []string{"u1"})
	require.NoError(t, err)
	assert.Equal(t, []destination.Record{{At: second(5), Uncertain: true}}, records)
	require.NoError(t, s.Ledger("main").Record(t.Context(), vipAudience, change))
	require.NoError(t, s.Close())
	assert.Equal(t, 2, schemaVersion(t, &Store{db: openFile(t, dir)}))
}

// openFile opens the file of a closed store.
func openFile(t *testing.T, dir string) *sql.DB {
	t.Helper()
	db, err := sqlite.connect(filepath.Join(dir, FileName))
	require.NoError(t, err)
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// createVersion2 creates the database of testdata/version2.sql.
func createVersion2(t *testing.T, d dialect, location string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "version2.sql"))
	require.NoError(t, err)
	script := d.schema.Replace(string(text))
	if d.isLocal {
		_, err = openFile(t, location).ExecContext(t.Context(), script)
		require.NoError(t, err)
		return
	}
	conn, err := pgx.Connect(t.Context(), location)
	require.NoError(t, err)
	defer conn.Close(t.Context())
	_, err = conn.Exec(t.Context(), script, pgx.QueryExecModeSimpleProtocol)
	require.NoError(t, err)
}

// checkVersion2 opens the database of createVersion2 and checks what it contains, what requests in flight do, and that the version stays
// while earlier programs may use it.
func checkVersion2(t *testing.T, location string) {
	s, err := Open(t.Context(), location)
	require.NoError(t, err)
	defer s.Close()
	base, l := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), s.Ledger("main")
	look := func(audience string) []destination.Record {
		records, err := l.Lookup(t.Context(), audience, []string{"u1", "u2", "u3", "u4"})
		require.NoError(t, err)
		return records
	}
	assert.Equal(t, []destination.Record{
		{Known: true, Member: true, At: base}, {Known: true, At: base.Add(time.Second)}, {Known: true, Member: true, At: base.Add(2 * time.Second), Uncertain: true}, {},
	}, look("aud_1"))
	assert.Equal(t, destination.Record{Known: true, At: base.Add(time.Second)}, look("aud_2")[3])
	_, history, ok, err := l.Find(t.Context(), "aud_1", "u1")
	require.NoError(t, err)
	assert.True(t, ok)
	assert.Equal(t, []HistoryEntry{{Decided: base.Add(4 * time.Second), At: base.Add(-time.Second), Outcome: "delivered"}}, history)
	content, err := l.Content(t.Context())
	require.NoError(t, err)
	assert.Equal(t, Content{Audiences: 2, Members: 2, Values: 1, Token: true}, content)

	sent := []destination.Change{{Identity: "u1", At: base.Add(time.Minute)}, {Identity: "u4", Member: true, At: base.Add(time.Minute)}}
	require.NoError(t, l.MarkUncertain(t.Context(), vipAudience, sent))
	assert.Equal(t, destination.Record{Known: true, Member: true, At: base.Add(time.Minute), Uncertain: true}, look("aud_1")[0])
	assert.Equal(t, destination.Record{At: base.Add(time.Minute), Uncertain: true}, look("aud_1")[3])
	if !s.IsLocal() {
		assert.Zero(t, rowsOf(t, s, "doubts"), "earlier programs see the marks")
		assert.Equal(t, 2, schemaVersion(t, s))
		for _, pending := range []bool{true, false} {
			can, err := s.CanUpgrade(t.Context())
			require.NoError(t, err)
			assert.Equal(t, pending, can)
			require.NoError(t, s.Upgrade(t.Context()))
		}
		require.NoError(t, l.MarkUncertain(t.Context(), vipAudience, sent))
		assert.Equal(t, 1, rowsOf(t, s, "doubts"))
	}
	require.NoError(t, l.Record(t.Context(), vipAudience, sent))
	assert.Equal(t, destination.Record{Known: true, At: base.Add(time.Minute)}, look("aud_1")[0])
	assert.Equal(t, destination.Record{Known: true, Member: true, At: base.Add(time.Minute)}, look("aud_1")[3])
	assert.Zero(t, rowsOf(t, s, "doubts"))
	require.NoError(t, s.Close())
	s, err = Open(t.Context(), location)
	require.NoError(t, err)
	defer s.Close()
	assert.Equal(t, map[bool]int{true: 2, false: postgres.newest}[s.IsLocal()], schemaVersion(t, s))
}

func TestVersion2OfTheSchemaIsAdopted(t *testing.T) {
	dir := t.TempDir()
	createVersion2(t, sqlite, dir)
	checkVersion2(t, dir)
	location := statetest.Postgres(t)
	createVersion2(t, postgres, location)
	checkVersion2(t, location)
}
