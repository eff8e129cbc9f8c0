package audienceruns_test

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	_ "modernc.org/sqlite"

	brazecohorts "github.com/landfall-dev/landfall/destinations/braze-cohorts"
	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/event/identifier"
	"github.com/landfall-dev/landfall/framework/files/audiencesync"
	"github.com/landfall-dev/landfall/framework/runtime/config"
	"github.com/landfall-dev/landfall/framework/runtime/instances"
	"github.com/landfall-dev/landfall/framework/server/audienceruns"
	"github.com/landfall-dev/landfall/framework/state"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for runs on a busy machine.
const patience = 5 * time.Minute

// rig is a server's state with a warehouse, and a clock that tests set.
type rig struct {
	t        *testing.T
	store    *state.Store
	list     []instances.Instance
	shop     *sql.DB
	registry *prometheus.Registry

	suppressed *identifier.Set

	mu    sync.Mutex
	now   time.Time
	syncs []config.AudienceSync // of the configuration; changed by setSyncs and change
}

func newRig(t *testing.T) *rig {
	t.Helper()
	dir := t.TempDir()
	r := &rig{t: t, registry: prometheus.NewRegistry(), now: time.Now().UTC().Truncate(time.Hour).Add(30 * time.Minute)}
	var err error
	r.shop, err = sql.Open("sqlite", filepath.Join(dir, "shop.db")+"?_pragma=busy_timeout(60000)") // a run may still be reading
	require.NoError(t, err)
	t.Cleanup(func() { _ = r.shop.Close() })
	r.exec("CREATE TABLE vips (id INTEGER PRIMARY KEY)")
	r.exec("WITH RECURSIVE n AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM n WHERE i < 100) INSERT INTO vips SELECT i FROM n")
	r.store, err = state.OpenSandbox(t.Context(), dir, "sandbox")
	require.NoError(t, err)
	t.Cleanup(func() { _ = r.store.Close() })
	cfg, problems := config.Parse("landfall.yaml", []byte(`
destinations:
  - id: braze
    destination: braze-cohorts
    settings: {endpoint: https://rest.iad-01.braze.com, client_secret: s, partner_api_key: p}
    subscriptions: []
audienceSyncs:
  - {id: vips, from: "sqlite:`+filepath.Join(dir, "shop.db")+`", query: SELECT id AS external_id FROM vips, every: 1h}
`), config.Env{})
	require.Empty(t, problems)
	r.setSyncs(cfg.AudienceSyncs)
	r.list, err = instances.Load(cfg, problems, instances.Options{
		Target: &instances.Target{Sandbox: true}, Catalog: instances.Catalog{Plugins: []destination.Plugin{brazecohorts.Plugin()}}, Store: r.store,
	})
	require.NoError(t, err)
	return r
}

func (r *rig) exec(statement string) {
	r.t.Helper()
	_, err := r.shop.Exec(statement)
	require.NoError(r.t, err)
}

func (r *rig) currentTime() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.now
}

func (r *rig) advance(d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.now = r.now.Add(d)
}

func (r *rig) currentSyncs() []config.AudienceSync {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.syncs
}

// setSyncs replaces the syncs, as a server does that has read its configuration again.
func (r *rig) setSyncs(syncs []config.AudienceSync) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.syncs = syncs
}

// change replaces the first sync by a copy that edit has changed.
func (r *rig) change(edit func(sync *config.AudienceSync)) {
	syncs := slices.Clone(r.currentSyncs())
	edit(&syncs[0])
	r.setSyncs(syncs)
}

// start starts a scheduler, as a server does.
func (r *rig) start(metrics prometheus.Registerer) *audienceruns.Scheduler {
	return audienceruns.New(r.settings(metrics))
}

func (r *rig) settings(metrics prometheus.Registerer) audienceruns.Config {
	c := audienceruns.Config{
		Suppressed: func() *identifier.Set { return r.suppressed }, Store: r.store, Log: slog.New(slog.DiscardHandler), Metrics: metrics, Now: r.currentTime, Lease: testLease,
		Syncs: r.currentSyncs, Instances: func() []instances.Instance { return r.list },
	}
	c.SetPoll(200 * time.Millisecond)
	return c
}

// testLease is long enough for a run on a slow machine. Tests let it end by advancing the clock of their rig.
const testLease = time.Minute

// waitForRuns waits until n runs have ended, and returns the newest.
func (r *rig) waitForRuns(s *audienceruns.Scheduler, n int) audienceruns.Run {
	r.t.Helper()
	var list []audienceruns.Run
	require.Eventually(r.t, func() bool {
		var err error
		list, err = s.History(r.t.Context(), "vips", 1000)
		require.NoError(r.t, err)
		return len(list) >= n
	}, patience, 10*time.Millisecond)
	require.Len(r.t, list, n)
	return list[0]
}

func (r *rig) members() int {
	size, _, err := r.list[0].Ledger.Audience(r.t.Context(), "vips")
	require.NoError(r.t, err)
	return size.Members
}

var vips = audienceruns.Choice{Sync: "vips"}

func TestScheduleRunsMissedTimesOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	s := r.start(r.registry)
	defer s.Close()
	require.Eventually(t, func() bool {
		list, err := s.List(t.Context())
		require.NoError(t, err)
		return len(list) == 1 && list[0].Next.After(r.currentTime())
	}, patience, 10*time.Millisecond, "a new sync waits for its first time")
	r.advance(31*time.Minute + 30*time.Second)
	run := r.waitForRuns(s, 1)
	assert.Equal(t, []any{audienceruns.OK, "schedule", 100, 100}, []any{run.Outcome, run.StartedBy, run.Report.Rows, run.Report.Enters})
	assert.Equal(t, 100, r.members())
	r.advance(5*time.Hour + 10*time.Minute)
	run = r.waitForRuns(s, 2)
	assert.Equal(t, []any{"schedule, after its time", 100, 0}, []any{run.StartedBy, run.Report.Unchanged, run.Report.Delivered})
	require.NoError(t, s.RunNow(t.Context(), vips, "an operator"))
	assert.Equal(t, "an operator", r.waitForRuns(s, 3).StartedBy, "the missed times were run once")
	assert.Equal(t, 1, testutil.CollectAndCount(r.registry, "landfall_audience_sync_runs_total"))
	r.advance(-1000 * time.Hour) // the clock was ahead
	r.waitForRuns(s, 4)
	list, err := s.List(t.Context())
	require.NoError(t, err)
	assert.WithinDuration(t, r.currentTime(), list[0].Next, 2*time.Hour)
}

func TestGuardCountsTheRunsOfADay(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	s := r.start(nil)
	defer s.Close()
	runs := 0
	run := func() audienceruns.Run {
		t.Helper()
		runs++
		require.NoError(t, s.RunNow(t.Context(), vips, "me"))
		return r.waitForRuns(s, runs)
	}
	require.Equal(t, audienceruns.OK, run().Outcome)
	require.ErrorIs(t, s.Approve(t.Context(), vips, "me"), audienceruns.ErrNotWaiting)
	r.exec("DELETE FROM vips WHERE id <= 6")
	require.Equal(t, audienceruns.OK, run().Outcome)
	r.exec("DELETE FROM vips WHERE id <= 12")
	waiting := run()
	assert.Equal(t, audienceruns.Waiting, waiting.Outcome)
	assert.Equal(t, "6 of 94 members would be removed, after 6 in the last 24 hours, more than 10 %: nothing was sent; the run waits for an approval", waiting.Error)
	assert.Equal(t, 94, r.members())

	other := audienceruns.Choice{Sync: "vips", Instance: "braze", Run: "another"}
	require.ErrorIs(t, s.Approve(t.Context(), other, "me"), audienceruns.ErrNotWaiting, "an approval is for the run that was seen")
	require.NoError(t, s.Approve(t.Context(), audienceruns.Choice{Sync: "vips", Instance: "braze", Run: waiting.ID}, "me"))
	runs++
	approved := r.waitForRuns(s, runs)
	assert.Equal(t, []any{audienceruns.OK, "approval by me", 6}, []any{approved.Outcome, approved.StartedBy, approved.Report.Exits})

	r.exec("DELETE FROM vips WHERE id <= 15")
	require.Equal(t, audienceruns.Waiting, run().Outcome)
	r.exec("DELETE FROM vips")
	require.NoError(t, s.Approve(t.Context(), vips, "me"))
	runs++
	assert.Equal(t, audienceruns.Waiting, r.waitForRuns(s, runs).Outcome, "an approval is for the removals that were known")
	r.exec("INSERT INTO vips SELECT value FROM json_each('[" + numbers(16, 100) + "]')")
	r.advance(25 * time.Hour)
	for r.members() != 85 {
		runs = runs + 1
		require.Equal(t, audienceruns.OK, r.waitForRuns(s, runs).Outcome, "removals count for a day")
	}
}

func numbers(first, last int) (text string) {
	for i := first; i <= last; i++ {
		text += fmt.Sprintf("%d,", i)
	}
	return text[:len(text)-1]
}

func TestSuppressedUsersAreLeftOut(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	key := identifier.NewKey("a key")
	r.suppressed = identifier.NewSet(key, []string{key.Hash("7")})
	s := r.start(nil)
	defer s.Close()
	require.NoError(t, s.RunNow(t.Context(), vips, "me"))
	assert.Equal(t, 1, r.waitForRuns(s, 1).Report.Suppressed)
	assert.Equal(t, 99, r.members())
}

func TestFailedQueryRemovesNoMembers(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	s := r.start(nil)
	defer s.Close()
	require.NoError(t, s.RunNow(t.Context(), vips, "me"))
	r.waitForRuns(s, 1)
	r.exec("ALTER TABLE vips RENAME COLUMN id TO no")
	require.NoError(t, s.RunNow(t.Context(), vips, "me"))
	run := r.waitForRuns(s, 2)
	assert.Equal(t, audienceruns.Failed, run.Outcome)
	assert.Contains(t, run.Error, "no such column: id")
	assert.Equal(t, 100, r.members())
	var wrong *audienceruns.ChoiceError
	require.ErrorAs(t, s.RunNow(t.Context(), audienceruns.Choice{Sync: "vip"}, "me"), &wrong)
	assert.Equal(t, `there is no enabled audience sync "vip" (did you mean "vips"?)`, wrong.Reason)
	require.ErrorAs(t, s.RunNow(t.Context(), audienceruns.Choice{Sync: "vips", Instance: "brace"}, "me"), &wrong)
}

// TestServersMeetANewSync checks that servers which see a new sync at the same time have no error.
func TestServersMeetANewSync(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	var servers sync.WaitGroup
	for range 8 {
		servers.Go(func() { assert.NoError(t, audienceruns.AcquireOnce(t.Context(), r.settings(nil))) })
	}
	servers.Wait()
}

// TestServersShareTheRuns checks that each time of the schedule runs once on two servers, and that a server takes over the run of one that
// died. The removals of that run do not count twice.
func TestServersShareTheRuns(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	one, two := r.start(nil), r.start(nil)
	require.NoError(t, one.RunNow(t.Context(), vips, "me"))
	r.waitForRuns(one, 1)
	for n := range 3 {
		r.advance(time.Hour)
		r.waitForRuns(two, n+2)
	}
	one.Close()
	two.Close()
	r.waitForRuns(one, 4)

	dead := audienceruns.Run{ID: "dead", Sync: "vips", Instance: "braze", At: r.currentTime(), StartedBy: "schedule"}
	document, err := json.Marshal(map[string]any{
		"slot": r.currentTime(), "holder": "a dead server", "beat": 7, "run": dead, "removals": []any{map[string]any{"run": "dead", "at": r.currentTime(), "exits": 8}},
	})
	require.NoError(t, err)
	require.NoError(t, r.list[0].Ledger.Put(t.Context(), "audienceSync/vips", string(document)))
	r.exec("DELETE FROM vips WHERE id <= 8")
	three := r.start(nil)
	defer three.Close()
	time.Sleep(100 * time.Millisecond)
	list, err := three.List(t.Context())
	require.NoError(t, err)
	require.NotNil(t, list[0].Running, "the lease holds")
	require.Eventually(t, func() bool {
		list, _ := three.History(t.Context(), "", 9)
		if len(list) == 4 { // the dead server's run is not recorded yet
			r.advance(testLease / 30)
		}
		return len(list) == 6
	}, patience, 20*time.Millisecond)
	history, err := three.History(t.Context(), "vips", 2)
	require.NoError(t, err)
	assert.Equal(t, []any{audienceruns.OK, "restart after an interruption", 8}, []any{history[0].Outcome, history[0].StartedBy, history[0].Report.Exits})
	assert.Equal(t, []any{"dead", audienceruns.Interrupted}, []any{history[1].ID, history[1].Outcome})
	assert.Equal(t, 92, r.members())
}

// TestCommandsTakeTheLease checks that no run of a sync and no other command begins while a command changes its audience, that the removals of
// the command count for the sync, and that a command that died is not repeated.
func TestCommandsTakeTheLease(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	s := r.start(nil)
	defer s.Close()
	require.NoError(t, s.RunNow(t.Context(), vips, "me"))
	r.waitForRuns(s, 1)

	options := audienceruns.HoldOptions{
		Ledger: r.list[0].Ledger, Instance: "braze", Audience: "vips", Syncs: r.currentSyncs(), By: "landfall sync", Lease: testLease, Now: r.currentTime,
	}
	held, _, err := audienceruns.HoldAudience(t.Context(), options)
	require.NoError(t, err)
	require.NoError(t, s.RunNow(t.Context(), vips, "me"))
	waits := make(chan string, 1)
	waiting := options
	waiting.By, waiting.OnWait = "landfall members purge", func(by string) { waits <- by }
	second := make(chan error, 1)
	go func() {
		other, _, err := audienceruns.HoldAudience(t.Context(), waiting)
		if err == nil {
			_, err = other.Release(nil, nil)
		}
		second <- err
	}()
	require.Equal(t, "landfall sync", <-waits)
	list, err := s.List(t.Context())
	require.NoError(t, err)
	assert.Equal(t, []any{"landfall sync", true}, []any{list[0].Running.StartedBy, list[0].Asked})
	require.NoError(t, held.AllowRemovals(6))
	run, err := held.Release(&audiencesync.Report{Audience: "vips", Exits: 6}, nil)
	require.NoError(t, err)
	require.NoError(t, audienceruns.SaveRun(t.Context(), r.store, run))
	require.NoError(t, <-second)
	options.Audience = "gold"
	held, _, err = audienceruns.HoldAudience(t.Context(), options)
	require.NoError(t, err)
	run, err = held.Release(&audiencesync.Report{Audience: "gold", Exits: 6}, nil)
	require.NoError(t, err)
	assert.Nil(t, run, "there is no sync that the run could count for")
	require.Eventually(t, func() bool {
		runs, err := s.History(t.Context(), "vips", 9)
		return err == nil && len(runs) == 3
	}, patience, 10*time.Millisecond, "the run that was asked for begins after the command")
	r.exec("DELETE FROM vips WHERE id <= 6")
	require.NoError(t, s.RunNow(t.Context(), vips, "me"))
	guarded := r.waitForRuns(s, 4)
	assert.Equal(t, audienceruns.Waiting, guarded.Outcome)
	assert.Contains(t, guarded.Error, "after 6 in the last 24 hours")

	document, err := json.Marshal(map[string]any{
		"slot": r.currentTime(), "holder": "a dead command", "beat": 99, "run": audienceruns.Run{ID: "dead", Sync: "vips", Instance: "braze", At: r.currentTime(), Command: true},
	})
	require.NoError(t, err)
	require.NoError(t, r.list[0].Ledger.Put(t.Context(), "audienceSync/vips", string(document)))
	require.Eventually(t, func() bool {
		r.advance(testLease / 30)
		runs, err := s.History(t.Context(), "vips", 1)
		return err == nil && runs[0].Outcome == audienceruns.Interrupted
	}, patience, 20*time.Millisecond)
	runs, err := s.History(t.Context(), "vips", 9)
	require.NoError(t, err)
	assert.Equal(t, []any{5, "the command was ended"}, []any{len(runs), runs[0].Error}, "the sync does not run")
}
