package history_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/delivery"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/server/history"
	"github.com/landfall-dev/landfall/framework/state"
)

// countingServer is a server with a clock of its own that counts the delivered events of the instance main.
type countingServer struct {
	*history.Recorder
	now       time.Time
	delivered int64
}

func newCountingServer(store *state.Store, now time.Time) *countingServer {
	s := &countingServer{now: now}
	s.Recorder = history.NewIdle(history.Config{
		Store: store, Now: func() time.Time { return s.now },
		Counts: func() history.Counts {
			return history.Counts{Instances: history.Outcomes{"main": {"delivered": s.delivered}}, Sources: history.Outcomes{"web": {"accepted": s.delivered}}}
		},
	})
	return s
}

// deliveredSince returns the delivered events since a time, by the minutes from then.
func (s *countingServer) deliveredSince(t *testing.T, since time.Time) map[int]int64 {
	t.Helper()
	slots, err := s.CountsSince(t.Context(), since)
	require.NoError(t, err)
	found := map[int]int64{}
	for _, slot := range slots {
		assert.Equal(t, slot.Instances["main"]["delivered"], slot.Sources["web"]["accepted"])
		found[int(slot.At.Sub(since)/time.Minute)] += slot.Instances["main"]["delivered"]
	}
	return found
}

// TestCountsOfServers checks that the counts of several servers are added, that they stay through a restart, and that those of the present
// minute are among them.
func TestCountsOfServers(t *testing.T) {
	store, start := openStore(t), time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)
	a, b := newCountingServer(store, start), newCountingServer(store, start)
	step := func(at time.Duration, ofA, ofB int64) {
		a.now, b.now = start.Add(at), start.Add(at)
		a.delivered, b.delivered = a.delivered+ofA, b.delivered+ofB
		a.Tick(t.Context())
		b.Tick(t.Context())
	}
	step(10*time.Second, 5, 7)
	assert.Equal(t, map[int]int64{0: 5}, a.deliveredSince(t, start), "of the other one, the minute that has not ended is not known yet")
	step(70*time.Second, 1, 0)
	assert.Equal(t, map[int]int64{0: 12, 1: 1}, a.deliveredSince(t, start))
	assert.Equal(t, map[int]int64{0: 12}, b.deliveredSince(t, start))
	a.Stop(t.Context())
	a = newCountingServer(store, start.Add(80*time.Second))
	a.delivered = 4
	for range 2 {
		assert.Equal(t, map[int]int64{0: 12, 1: 5}, a.deliveredSince(t, start), "a new process counts from zero")
	}
	step(40*time.Minute, 0, 100)
	step(41*time.Minute, 2, 0)
	assert.Equal(t, map[int]int64{0: 12, 1: 5, 40: 100, 41: 2}, a.deliveredSince(t, start))
	long := a.now.Add(-7 * 24 * time.Hour)
	total := int64(0)
	for _, n := range a.deliveredSince(t, long.Truncate(10*time.Minute)) {
		total += n
	}
	assert.Equal(t, int64(119), total, "both resolutions have everything once")
	assert.Len(t, a.deliveredSince(t, long.Truncate(10*time.Minute)), 2, "in slots of ten minutes")
}

// TestCountsAreBounded checks how long counts are kept in each detail.
func TestCountsAreBounded(t *testing.T) {
	store, start := openStore(t), time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)
	s := newCountingServer(store, start)
	s.delivered = 3
	s.Tick(t.Context())
	s.now = start.Add(10 * time.Minute)
	s.Tick(t.Context())
	kinds := func(age time.Duration) (list []string) {
		history.TrimOnce(t.Context(), history.Config{Store: store, Now: func() time.Time { return start.Add(age) }})
		query := state.JournalQuery{Kinds: []string{"counts", "counts-long"}}
		require.NoError(t, store.Journal(t.Context(), query, func(e state.JournalEntry) bool { list = append(list, e.Kind); return true }))
		return list
	}
	assert.ElementsMatch(t, []string{"counts", "counts-long"}, kinds(24*time.Hour))
	assert.Equal(t, []string{"counts-long"}, kinds(26*time.Hour))
	assert.Equal(t, []string{"counts-long"}, kinds(30*24*time.Hour))
	assert.Empty(t, kinds(33*24*time.Hour))
}

// TestSizesAfterAWrongClock checks that sizes are written again after they were written while the clock was ahead, and that those are not shown.
func TestSizesAfterAWrongClock(t *testing.T) {
	start := time.Date(2026, 6, 1, 12, 1, 0, 0, time.UTC)
	now, members := start, 10
	r := history.NewIdle(history.Config{Store: openStore(t), Now: func() time.Time { return now }, MayDeleteByAge: func() bool { return false }, Sizes: func(context.Context) (history.Sizes, error) {
		members++
		return history.Sizes{"main": {"a": members}}, nil
	}})
	for _, now = range []time.Time{start, start.AddDate(5, 0, 0), start.Add(10 * time.Minute)} {
		r.Tick(t.Context())
	}
	found, err := r.SizesSince(t.Context(), "main", "a", start.Add(-time.Hour))
	require.NoError(t, err)
	assert.Equal(t, []history.SizePoint{{At: start, Members: 11}, {At: now, Members: 13}}, found["a"])
}

// TestSizesOfAudiences checks that sizes are written when they change, once for all servers, and that the size at the beginning of a time is
// known.
func TestSizesOfAudiences(t *testing.T) {
	store, start := openStore(t), time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)
	now, sizes := start, history.Sizes{"main": {"a": 10, "b": 1}}
	server := func() *history.Recorder {
		return history.NewIdle(history.Config{Store: store, Now: func() time.Time { return now }, Sizes: func(context.Context) (history.Sizes, error) { return sizes, nil }})
	}
	one, two := server(), server()
	tick := func(at time.Duration) {
		now = start.Add(at)
		one.Tick(t.Context())
		two.Tick(t.Context())
	}
	entries := func() (n int) {
		require.NoError(t, store.Journal(t.Context(), state.JournalQuery{Kinds: []string{"sizes"}}, func(state.JournalEntry) bool { n++; return true }))
		return n
	}
	tick(0)
	tick(time.Minute)
	assert.Equal(t, 2, entries(), "each server begins with all sizes")
	tick(6 * time.Minute)
	assert.Equal(t, 2, entries(), "nothing has changed")
	sizes = history.Sizes{"main": {"a": 12, "b": 1}}
	tick(11 * time.Minute)
	assert.Equal(t, 3, entries(), "a change is written once")
	points := func(since time.Duration, audience string) map[string][]history.SizePoint {
		found, err := two.SizesSince(t.Context(), "main", audience, start.Add(since))
		require.NoError(t, err)
		return found
	}
	change := history.SizePoint{At: start.Add(11 * time.Minute), Members: 12}
	assert.Equal(t, map[string][]history.SizePoint{"a": {{At: start.Add(5 * time.Minute), Members: 10}, change}}, points(5*time.Minute, "a"))
	assert.Equal(t, []history.SizePoint{{At: start.Add(20 * time.Minute), Members: 12}}, points(20*time.Minute, "")["a"])
	assert.Equal(t, []history.SizePoint{{At: start.Add(20 * time.Minute), Members: 1}}, points(20*time.Minute, "")["b"])
	tick(30 * time.Hour)
	found := points(29*time.Hour, "")
	assert.Equal(t, 12, found["a"][0].Members, "all sizes are written once a day")
	assert.Equal(t, 1, found["b"][0].Members)
	found, err := two.SizesSince(t.Context(), "other", "", start)
	require.NoError(t, err)
	assert.Empty(t, found)
}

// TestVerdictsAreFound checks which verdicts a filter selects.
func TestVerdictsAreFound(t *testing.T) {
	store, at := openStore(t), time.Now().Add(-time.Hour).Truncate(time.Second)
	r := history.New(history.Config{Store: store})
	for i, v := range []delivery.VerdictRecord{
		{Instance: "a", Outcome: "delivered"}, {Instance: "a", Outcome: "dead", Cause: fault.CauseRefused, Reason: "no"}, {Instance: "b", Outcome: "delivered", Attempts: 3}, {Instance: "a", Outcome: "delivered"},
	} {
		v.Subscription, v.Seq, v.At = "All", uint64(i+1), at.Add(time.Duration(i)*time.Minute)
		if i == 3 {
			v.Batch = &delivery.Batch{ID: "b1", At: v.At, Events: 1}
		}
		r.AddVerdict(v)
		r.Flush(t.Context())
	}
	r.Close()
	for name, c := range map[string]struct {
		filter history.VerdictFilter
		want   []uint64
	}{
		"all":      {history.VerdictFilter{}, []uint64{4, 3, 2, 1}},
		"instance": {history.VerdictFilter{Instance: "a"}, []uint64{4, 2, 1}},
		"outcome":  {history.VerdictFilter{Outcomes: []string{"dead", "parked"}}, []uint64{2}},
		"retried":  {history.VerdictFilter{Retried: true}, []uint64{3}},
		"time":     {history.VerdictFilter{Since: at.Add(time.Minute), Until: at.Add(3 * time.Minute)}, []uint64{3, 2}},
		"cause":    {history.VerdictFilter{Cause: fault.CauseRefused}, []uint64{2}},
		"no cause": {history.VerdictFilter{Cause: fault.CauseSuperseded}, nil},
		"name":     {history.VerdictFilter{Subscription: "Other"}, nil},
		"batch":    {history.VerdictFilter{Batch: "b1"}, []uint64{4}},
		"a page":   {history.VerdictFilter{Skip: 1, Limit: 2}, []uint64{3, 2}},
	} {
		if c.filter.Limit == 0 {
			c.filter.Limit = 10
		}
		list, complete, err := history.Find(t.Context(), store, c.filter)
		require.NoError(t, err)
		assert.True(t, complete)
		var seqs []uint64
		for _, v := range list {
			seqs = append(seqs, v.Seq)
		}
		assert.Equal(t, c.want, seqs, name)
	}
}

// TestPagesEndWithinAGroup checks that a page has its number of verdicts, although those of a batch are stored together.
func TestPagesEndWithinAGroup(t *testing.T) {
	store := openStore(t)
	r := history.New(history.Config{Store: store})
	batch := &delivery.Batch{ID: "b1", At: time.Now(), Events: 5}
	for i := range 5 {
		r.AddVerdict(delivery.VerdictRecord{At: time.Now(), Instance: "a", Outcome: "delivered", Seq: 1, Index: i, Batch: batch})
	}
	r.Close()
	for skip, want := range map[int][]int{0: {0, 1}, 2: {2, 3}, 4: {4}, 5: nil} {
		list, _, err := history.Find(t.Context(), store, history.VerdictFilter{Skip: skip, Limit: 2})
		require.NoError(t, err)
		var indexes []int
		for _, v := range list {
			indexes = append(indexes, v.Index)
		}
		assert.Equal(t, want, indexes, skip)
	}
}
