package audienceruns_test

import (
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	brazecohorts "github.com/landfall-dev/landfall/destinations/braze-cohorts"
	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/destination/sandbox"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/files/audiencesync"
	"github.com/landfall-dev/landfall/framework/files/sqlsource"
	"github.com/landfall-dev/landfall/framework/runtime"
	"github.com/landfall-dev/landfall/framework/runtime/config"
	"github.com/landfall-dev/landfall/framework/state"
	"github.com/landfall-dev/landfall/framework/state/statetest"
)

// TestCost measures a run of a query of LANDFALL_SYNC_ROWS users in PostgreSQL, of whom one in a thousand has changed: CPU time of this process,
// elapsed time and memory. PERFORMANCE.md has the figures.
func TestCost(t *testing.T) {
	rows, _ := strconv.Atoi(os.Getenv("LANDFALL_SYNC_ROWS"))
	if rows == 0 {
		t.Skip("LANDFALL_SYNC_ROWS is not set")
	}
	address := fillWarehouse(t, rows)
	syncer := filledSyncer(t, rows)
	require.NoError(t, os.WriteFile("/proc/self/clear_refs", []byte("5"), 0))
	before, began := cpuTime(t), time.Now()
	result, err := sqlsource.Open(t.Context(), sqlsource.Options{URL: address, Query: "SELECT external_id FROM users"})
	require.NoError(t, err)
	defer result.Close()
	list, err := audiencesync.TableRows(result, audiencesync.Options{Identifiers: syncer.Audiences.Identifiers, At: result.At, Source: result.ID()})
	require.NoError(t, err)
	report, err := syncer.Sync(t.Context(), destination.Audience{ID: "vip", Name: "vip"}, list, audiencesync.Mirror, 0.1)
	require.NoError(t, err)
	used := cpuTime(t) - before
	half := rows / 1000 / 2
	assert.Equal(t, []int{rows, half, half, rows - half}, []int{report.Rows, report.Enters, report.Exits, report.Unchanged})
	assert.Equal(t, report.Enters+report.Exits, report.Delivered)
	t.Logf("%d rows: %v elapsed, %v of CPU time, %.2f µs a row, %d MB at most", rows, time.Since(began).Round(time.Millisecond), used.Round(time.Millisecond),
		float64(used.Microseconds())/float64(rows), peakMemory(t))
}

// fillWarehouse starts PostgreSQL with a table of users in random order, and returns its URL.
func fillWarehouse(t *testing.T, rows int) string {
	address := statetest.Postgres(t)
	conn, err := pgx.Connect(t.Context(), address)
	require.NoError(t, err)
	defer conn.Close(t.Context())
	half := rows / 1000 / 2
	_, err = conn.Exec(t.Context(), fmt.Sprintf(`CREATE UNLOGGED TABLE users AS SELECT 'customer-' || lpad(i::text, 10, '0') AS external_id
		FROM generate_series(%d, %d) i ORDER BY hashint8(i)`, half, rows+half-1))
	require.NoError(t, err)
	return address
}

// filledSyncer returns a Syncer that sends to a sandbox which keeps nothing, and whose ledger has the members 0 to rows.
func filledSyncer(t *testing.T, rows int) *audiencesync.Syncer {
	dir := t.TempDir()
	store, err := state.Open(t.Context(), dir)
	require.NoError(t, err)
	require.NoError(t, store.Ledger("main").Record(t.Context(), destination.Audience{ID: "vip", Name: "vip"}, []destination.Change{{Identity: "external_id:x", At: time.Unix(1, 0)}}))
	require.NoError(t, store.Close())
	db, err := sql.Open("sqlite", filepath.Join(dir, "state.db")+"?_pragma=busy_timeout(60000)")
	require.NoError(t, err)
	for _, statement := range []string{
		`PRAGMA synchronous = OFF`,
		fmt.Sprintf(`WITH RECURSIVE n AS (SELECT 0 AS i UNION ALL SELECT i + 1 FROM n WHERE i < %d) INSERT INTO members (audience, identity, member, doubt, turns, at, delivered)
			SELECT (SELECT id FROM audiences), 'external_id:customer-' || format('%%010d', i), 1, 0, 0, 1000000, 1000000 FROM n`, rows-1),
		fmt.Sprintf(`UPDATE audiences SET members = %d`, rows),
	} {
		_, err = db.Exec(statement)
		require.NoError(t, err)
	}
	require.NoError(t, db.Close())
	store, err = state.Open(t.Context(), dir)
	require.NoError(t, err)
	t.Cleanup(func() { _ = store.Close() })
	plugin := brazecohorts.Plugin()
	definition, err := plugin.Load()
	require.NoError(t, err)
	k := &audiencesync.Syncer{Audiences: plugin.Audiences, Ledger: store.Ledger("main")}
	in := config.InstanceOf(event.MustParse(`{"id":"main","settings":{"endpoint":"https://rest.iad-01.braze.com","client_secret":"s","partner_api_key":"p"}}`))
	k.Plan, err = runtime.New(plugin, definition, in, runtime.Host{State: k.Ledger, Members: k.Ledger, Transport: sandbox.Transport(plugin.Sandbox.New(nil))})
	require.NoError(t, err)
	return k
}

// cpuTime returns the CPU time of this process.
func cpuTime(t *testing.T) time.Duration {
	var usage syscall.Rusage
	require.NoError(t, syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

var peak = regexp.MustCompile(`VmHWM:\s+(\d+) kB`)

// peakMemory returns the largest resident memory of this process in MB.
func peakMemory(t *testing.T) int {
	text, err := os.ReadFile("/proc/self/status")
	require.NoError(t, err)
	kilobytes, err := strconv.Atoi(peak.FindStringSubmatch(strings.TrimSpace(string(text)))[1])
	require.NoError(t, err)
	return kilobytes >> 10
}
