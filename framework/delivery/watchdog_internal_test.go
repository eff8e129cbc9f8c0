package delivery

import (
	"context"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog"
	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog/memlog"
)

// The watchdog samples a partition every ten seconds, with a limit of one minute.
func TestWatchdog(t *testing.T) {
	stuck := sample{progress: progress{next: 5, oldest: 4, left: 1, verdicts: 9}, outstanding: true}
	with := func(change func(*sample)) sample { s := stuck; change(&s); return s }
	for name, c := range map[string]struct {
		at      func(look int) sample
		stalled bool
	}{
		"nothing moves":             {func(int) sample { return stuck }, true},
		"nothing is outstanding":    {func(int) sample { return with(func(s *sample) { s.outstanding = false }) }, false},
		"paused":                    {func(int) sample { return with(func(s *sample) { s.paused = true }) }, false},
		"paused now and then":       {func(n int) sample { return with(func(s *sample) { s.paused = n%3 == 0 }) }, false},
		"pages are read":            {func(n int) sample { return with(func(s *sample) { s.next += uint64(n) }) }, false},
		"the oldest page moves":     {func(n int) sample { return with(func(s *sample) { s.oldest += uint64(n / 4) }) }, false},
		"events of a page end":      {func(n int) sample { return with(func(s *sample) { s.left += n }) }, false},
		"verdicts are given":        {func(n int) sample { return with(func(s *sample) { s.verdicts += int64(n) }) }, false},
		"it moved and then stopped": {func(n int) sample { return with(func(s *sample) { s.verdicts += int64(min(n, 2)) }) }, true},
	} {
		t.Run(name, func(t *testing.T) {
			dog, now, news := newWatchdog(time.Minute), time.Unix(1000, 0), 0
			var since time.Time
			for look := range 12 {
				at, isNew := dog.observe(partitionID{"main", 3}, c.at(look), now)
				if since = at; isNew {
					news++
				}
				now = now.Add(10 * time.Second)
			}
			assert.Equal(t, c.stalled, !since.IsZero())
			if c.stalled {
				assert.Equal(t, 1, news, "it is logged once")
				at, _ := dog.observe(partitionID{"main", 3}, sample{}, now)
				assert.Zero(t, at, "it goes on")
			}
		})
	}
}

// unwritableLog is a log in which writes to a stream fail for some time, as on a cluster without a leader of the stream.
type unwritableLog struct {
	eventlog.Log
	stream string
	fails  atomic.Bool
}

func (l *unwritableLog) Append(ctx context.Context, stream string, writes []eventlog.Write) (uint64, error) {
	if stream == l.stream && l.fails.Load() {
		return 0, eventlog.ErrUnavailable
	}
	return l.Log.Append(ctx, stream, writes)
}

// While checkpoints cannot be written, partitions lose their owner. Lag, status and health report that, and it ends
// automatically.
func TestPartitionsWithoutOwner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // so that the lease is not too short for the machine
		loseOwners(t, &unwritableLog{Log: memlog.New(memlog.Options{}).Connect(), stream: checkpointsStream})
	})
}

func loseOwners(t *testing.T, store *unwritableLog) {
	q, err := Open(t.Context(), Config{Partitions: 2}.On(store))
	require.NoError(t, err)
	defer q.Close()
	r, err := NewRunner(t.Context(), q, Settings{Linger: time.Millisecond, Lease: time.Second})
	require.NoError(t, err)
	defer r.Stop(t.Context())
	require.NoError(t, r.SetInstances(t.Context(), []Instance{refusingInstance(t)}))
	store.fails.Store(true)
	find := func(code Code) *Finding {
		for _, f := range r.Health(t.Context()).Findings {
			if f.Code == code {
				return &f
			}
		}
		return nil
	}
	hasBoth := func() bool { f := find(CodeNoOwner); return f != nil && slices.Equal(f.Partitions, []int{0, 1}) }
	require.Eventually(t, hasBoth, time.Minute, 20*time.Millisecond)
	assert.False(t, r.Health(t.Context()).Delivering)
	raw := []byte(`{"type":"track","userId":"u"}`)
	require.NoError(t, q.Append(t.Context(), []NewEvent{{Source: "web", Key: "u:u", Raw: raw}, {Source: "web", Key: "u:u", Raw: raw}}))
	require.Eventually(t, func() bool { s := r.Status()[0]; return s.Behind == 2 && s.Lag > time.Second }, time.Minute, 20*time.Millisecond)
	assert.Equal(t, []int{0, 1}, r.Status()[0].Unowned)
	store.fails.Store(false)
	require.Eventually(t, func() bool {
		s := r.Status()[0]
		return s.Partitions == 2 && s.Counts[countDead] == 2 && len(s.Unowned) == 0 && r.Health(t.Context()).Ready
	}, time.Minute, 20*time.Millisecond)
}
