package delivery

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
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

// While checkpoints cannot be written, partitions lose their owner. Lag, status and health report that, and it ends
// automatically.
func TestPartitionsWithoutOwner(t *testing.T) {
	q, err := Open(t.Context(), Config{Dir: t.TempDir(), Partitions: 2})
	require.NoError(t, err)
	defer q.Close()
	r, err := NewRunner(t.Context(), q, Settings{Linger: time.Millisecond, Lease: time.Second})
	require.NoError(t, err)
	defer r.Stop(t.Context())
	require.NoError(t, r.SetInstances(t.Context(), []Instance{refusingInstance(t)}))
	checkpoints := q.streams[checkpointsStream].CachedInfo().Config
	update := func(subjects ...string) {
		c := checkpoints
		c.Subjects = subjects
		_, err := q.js.UpdateStream(t.Context(), c)
		require.NoError(t, err)
	}
	update("elsewhere") // nothing stores the checkpoints any more
	find := func(code Code) *Finding {
		for _, f := range r.Health(t.Context()).Findings {
			if f.Code == code {
				return &f
			}
		}
		return nil
	}
	require.Eventually(t, func() bool { return find(CodeNoOwner) != nil }, 20*time.Second, 20*time.Millisecond)
	assert.Equal(t, []int{0, 1}, find(CodeNoOwner).Partitions)
	assert.False(t, r.Health(t.Context()).Delivering)
	raw := []byte(`{"type":"track","userId":"u"}`)
	require.NoError(t, q.Append(t.Context(), []NewEvent{{Source: "web", Key: "u:u", Raw: raw}, {Source: "web", Key: "u:u", Raw: raw}}))
	require.Eventually(t, func() bool { s := r.Status()[0]; return s.Behind == 2 && s.Lag > time.Second }, 20*time.Second, 20*time.Millisecond)
	assert.Equal(t, []int{0, 1}, r.Status()[0].Unowned)
	update(checkpoints.Subjects...)
	require.Eventually(t, func() bool {
		s := r.Status()[0]
		return s.Partitions == 2 && s.Counts[countDead] == 2 && len(s.Unowned) == 0 && r.Health(t.Context()).Ready
	}, 30*time.Second, 20*time.Millisecond)
}
