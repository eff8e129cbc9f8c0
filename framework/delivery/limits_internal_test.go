package delivery

import (
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog"
	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog/memlog"
	"github.com/landfall-dev/landfall/internal/diskspace"
)

// TestLimitOfParkedEvents checks when parking stops and resumes: at the limit, and below a share of it, so that it does not change with each event.
func TestLimitOfParkedEvents(t *testing.T) {
	r := &Runner{settings: Settings{MaxParkedBytes: 1000}, log: slog.New(slog.DiscardHandler)}
	now := time.Unix(1000, 0)
	for i, c := range []struct {
		bytes uint64
		short bool
		full  bool
	}{
		{999, false, false}, {1000, false, true}, {999, false, true}, {950, false, true}, {949, false, false}, {10, true, true}, {10, true, true}, {2000, false, true}, {10, false, false},
	} {
		now = now.Add(time.Second)
		r.updateParkingLimit(c.bytes, c.short, now)
		assert.Equal(t, c.full, !r.limits.parkingFullSince.IsZero(), i)
		assert.Equal(t, c.bytes, r.limits.parkedBytes)
	}
	r.updateParkingLimit(1000, false, now)
	r.updateParkingLimit(1001, false, now.Add(time.Hour))
	assert.Equal(t, now, r.limits.parkingFullSince, "since it became full")
}

// TestNearLimitsOfDeadLetters checks when a limit counts as near, and how often that is logged.
func TestNearLimitsOfDeadLetters(t *testing.T) {
	var logged syncedLines
	r := &Runner{settings: Settings{MaxDeadLetterBytes: 1000, DeadLetterRetention: 10 * time.Hour}, log: slog.New(slog.NewTextHandler(&logged, nil))}
	now := time.Unix(1_000_000, 0)
	for _, c := range []struct {
		bytes, messages uint64
		age             time.Duration
		want            string
	}{
		{0, 0, 0, ""}, {2000, 0, 20 * time.Hour, ""}, {800, 1, 8 * time.Hour, ""}, {801, 1, 0, "size"}, {801, 1, 9 * time.Hour, "size"}, {1, 1, 8*time.Hour + 1, "age"},
	} {
		r.warnNearLimit(eventlog.Info{Bytes: c.bytes, Messages: c.messages, FirstTime: now.Add(-c.age)}, now)
		assert.Equal(t, c.want, r.limits.nearLimit, c)
		assert.Equal(t, c.bytes, r.limits.deadBytes)
	}
	assert.Equal(t, 1, logged.count())
	near := eventlog.Info{Bytes: 900, Messages: 1, FirstTime: now}
	r.warnNearLimit(near, now.Add(warnInterval-1))
	assert.Equal(t, 1, logged.count())
	r.warnNearLimit(near, now.Add(warnInterval))
	assert.Equal(t, 2, logged.count())
}

// syncedLines counts what is written.
type syncedLines struct{ n int }

func (l *syncedLines) Write(p []byte) (int, error) { l.n++; return len(p), nil }
func (l *syncedLines) count() int                  { return l.n }

// diskLog is a log in memory that has a directory.
type diskLog struct {
	*memlog.Log
	dir string
}

func (l diskLog) Dir() string { return l.dir }

// TestDecisionsByFreeSpace checks what a queue does and does not do while its disk is short. The limits are far from the free space.
func TestDecisionsByFreeSpace(t *testing.T) {
	q, _ := newMemoryQueue(t, Config{Partitions: 1})
	dir := t.TempDir()
	free, total, err := diskspace.Of(dir)
	require.NoError(t, err)
	require.Greater(t, free, int64(64<<20), "the test needs some space")
	assert.GreaterOrEqual(t, total, free)
	least := DefaultMinFree(dir)
	assert.True(t, least > 0 && least <= total)
	q.config.Dir, q.config.MinFreeBytes = dir, free*8
	assert.Equal(t, []bool{true, true, true, true}, []bool{q.canDeleteSafely(), q.canPark(), q.hasSpareSpace(1 << 60), q.diskNeeded() == 0}, "without a disk, there is no limit")
	require.NoError(t, q.checkDiskSpace())

	q.store = diskLog{q.store.(*memlog.Log), dir}
	for _, c := range []struct {
		least                     int64
		remove, park, spare, trim bool
	}{
		{free / 8, true, true, true, false}, {free * 3 / 4, true, true, false, false}, {free * 9 / 10, true, true, false, true}, {free * 2, true, false, false, true}, {free * 8, false, false, false, true},
	} {
		q.config.MinFreeBytes = c.least
		assert.Equal(t, []bool{c.remove, c.park, c.spare, c.trim}, []bool{q.canDeleteSafely(), q.canPark(), q.hasSpareSpace(0), q.diskNeeded() > 0}, "%d of %d", c.least, free)
		err := q.checkDiskSpace()
		if c.park {
			assert.NoError(t, err)
			continue
		}
		assert.ErrorIs(t, err, ErrFull)
		assert.Contains(t, err.Error(), " must stay free")
	}
	q.config.MinFreeBytes = free / 8
	assert.False(t, q.hasSpareSpace(free*7/8), "with the bytes that are asked for")
	q.parked.unsavedBytes.Store(free)
	assert.False(t, q.canPark(), "with what is being written")
	q.parked.unsavedBytes.Store(0)
	q.config.MinFreeBytes = free * 2
	assert.InDelta(t, q.trimBelow()+2*free-free, q.diskNeeded(), float64(free)/2)
}

// TestDisksThatFillFast checks when nothing is deleted, since the disk may be full before that is done.
func TestDisksThatFillFast(t *testing.T) {
	q, _ := newMemoryQueue(t, Config{Partitions: 1})
	r := &Runner{queue: q}
	r.limits.lastFreeBytes = 1 << 60
	assert.False(t, r.isDiskFillingFast(), "there is no disk")
	dir := t.TempDir()
	q.store = diskLog{q.store.(*memlog.Log), dir}
	q.config.Dir = dir
	assert.True(t, r.isDiskFillingFast(), "almost all of it was filled since the last look")
	assert.False(t, r.isDiskFillingFast())
	free, _, err := diskspace.Of(dir)
	require.NoError(t, err)
	r.limits.lastFreeBytes = free / 2
	assert.False(t, r.isDiskFillingFast(), "there is more space than before")
	q.config.Dir = dir + "/missing"
	assert.True(t, r.isDiskFillingFast(), "it cannot be looked at")
}

// closedLog reports whether a log was closed.
type closedLog struct {
	*memlog.Log
	closed *bool
}

func (l closedLog) Close() { *l.closed = true; l.Log.Close() }

// TestBudgetsOfAnotherProgram checks when a command shares the budgets of servers: if one with its target has used the log, and otherwise it leaves
// nothing open.
func TestBudgetsOfAnotherProgram(t *testing.T) {
	for name, c := range map[string]struct {
		used, asked string
		fails       bool
		shares      bool
	}{
		"the same target": {used: "live", asked: "live", shares: true}, "another target": {used: "sandbox", asked: "live"}, "no server yet": {asked: "live"}, "a log that fails": {used: "live", asked: "live", fails: true},
	} {
		store := memlog.New(memlog.Options{Shared: true})
		if c.used != "" {
			q, err := Open(t.Context(), Config{Partitions: 1, Target: c.used}.On(store.Connect()))
			require.NoError(t, err)
			q.Close()
		}
		closed := false
		var log eventlog.Log = closedLog{store.Connect(), &closed}
		if c.fails {
			failing := &failingLog{Log: store.Connect()}
			failing.arm(1)
			log = failing
		}
		budgets, done, err := OpenBudgets(t.Context(), Config{Target: c.asked}.On(log))
		assert.Equal(t, c.shares, budgets != nil, name)
		if c.fails {
			assert.ErrorIs(t, err, errLogFails)
			assert.ErrorContains(t, err, "reading the log of the cluster")
			continue
		}
		require.NoError(t, err, name)
		assert.Equal(t, !c.shares, closed, name)
		done()
		assert.True(t, closed, name)
	}
}

func TestSizesInMessages(t *testing.T) {
	for n, want := range map[int64]string{0: "0 bytes", 999: "999 bytes", 1000: "0.0 MB", 1_500_000: "1.5 MB", 9_900_000: "9.9 MB", 10_000_000: "10 MB", 123_999_999: "123 MB"} {
		assert.Equal(t, want, sizeText(n))
	}
}
