package delivery

import (
	"context"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog"
	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog/memlog"
)

// pagesOf returns the pages of ranges, which must be sorted and apart.
func pagesOf(t *testing.T, ranges []LostRange) (pages []uint64) {
	t.Helper()
	for i, r := range ranges {
		require.LessOrEqual(t, r.First, r.Last)
		require.EqualValues(t, r.Last-r.First+1, r.Pages())
		if i > 0 {
			require.Less(t, ranges[i-1].Last, r.First)
		}
		for seq := r.First; seq <= r.Last; seq++ {
			pages = append(pages, seq)
		}
	}
	return pages
}

// TestLostPagesAreCountedOnce adds random ranges: each page counts once, and one that is known keeps when it was found and whether it was acknowledged.
func TestLostPagesAreCountedOnce(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		s := logState{Lost: []LostRange{{First: 10, Last: 12, Found: time.Unix(1, 0), Accepted: true}, {First: 20, Last: 20, Found: time.Unix(1, 0)}}}
		want := map[uint64]bool{10: true, 11: true, 12: true, 20: true}
		for range 4 {
			first := random.Uint64N(30) + 1
			last := first + random.Uint64N(12)
			s.addLost(first, last, time.Unix(2, 0))
			for seq := first; seq <= last; seq++ {
				want[seq] = true
			}
		}
		pages := pagesOf(t, s.Lost)
		require.Len(t, pages, len(want))
		for _, r := range s.Lost {
			require.True(t, want[r.First] && want[r.Last])
			require.Equal(t, r.First >= 10 && r.Last <= 12, r.Accepted)
			require.Equal(t, r.Accepted || r.First == 20, r.Found.Equal(time.Unix(1, 0)), r)
		}
	}
	var s logState
	s.addLost(5, 4, time.Unix(2, 0))
	assert.Empty(t, s.Lost, "an empty range")
}

// TestManyLostRangesAreMerged checks the limit of the ranges: beyond it the last ones become one, which is acknowledged only if all of them are.
func TestManyLostRangesAreMerged(t *testing.T) {
	for _, accepted := range []bool{true, false} {
		s := logState{}
		for i := range uint64(maxLostRanges) {
			s.Lost = append(s.Lost, LostRange{First: 10 * i, Last: 10*i + 1, Accepted: true})
		}
		s.addLost(5000, 5009, time.Unix(2, 0))
		s.Lost[maxLostRanges-1].Accepted = accepted
		s.addLost(6000, 6000, time.Unix(2, 0))
		require.Len(t, s.Lost, maxLostRanges)
		assert.Equal(t, LostRange{First: 990, Last: 6000}, s.Lost[maxLostRanges-1])
		assert.Equal(t, LostRange{First: 980, Last: 981, Accepted: true}, s.Lost[maxLostRanges-2])
	}
}

// TestMergedRangesStayUnacknowledged checks that of the last ranges, which become one when pages before them are lost, none is acknowledged
// along with the other.
func TestMergedRangesStayUnacknowledged(t *testing.T) {
	for _, accepted := range [][2]bool{{true, true}, {true, false}, {false, true}, {false, false}} {
		s := logState{}
		for i := range uint64(maxLostRanges) {
			s.Lost = append(s.Lost, LostRange{First: 10*i + 10, Last: 10*i + 11, Accepted: true})
		}
		last := s.Lost[maxLostRanges-2:]
		last[0].Accepted, last[1].Accepted = accepted[0], accepted[1]
		s.addLost(1, 2, time.Unix(2, 0))
		require.Len(t, s.Lost, maxLostRanges)
		assert.Equal(t, LostRange{First: 1, Last: 2, Found: time.Unix(2, 0)}, s.Lost[0])
		assert.Equal(t, LostRange{First: 990, Last: 1001, Accepted: accepted[0] && accepted[1]}, s.Lost[maxLostRanges-1])
	}
}

func TestRangesOfPages(t *testing.T) {
	assert.Empty(t, rangesOf(nil))
	assert.Equal(t, []LostRange{{First: 2, Last: 2}, {First: 4, Last: 6}, {First: 8, Last: 8}}, rangesOf([]uint64{6, 4, 8, 2, 5}))
}

// TestStateAfterAView checks what a look at the log changes: which pages count as lost, and what is known of the log from then on.
func TestStateAfterAView(t *testing.T) {
	lost := func(s logState) (pages [][2]uint64) {
		for _, r := range s.Lost {
			pages = append(pages, [2]uint64{r.First, r.Last})
		}
		return pages
	}
	old := logState{Created: 1, Trimmed: 3, High: 20}
	for name, c := range map[string]struct {
		view          logView
		deleted       []LostRange
		short, older  bool
		lost          [][2]uint64
		trimmed, high uint64
		created       int64
	}{
		"nothing has changed":            {view: logView{created: 1, first: 4, last: 20}, trimmed: 3, high: 20, created: 1},
		"the log has grown":              {view: logView{created: 1, first: 4, last: 25}, trimmed: 3, high: 25, created: 1},
		"pages at the start are gone":    {view: logView{created: 1, first: 8, last: 20}, lost: [][2]uint64{{4, 7}}, trimmed: 7, high: 20, created: 1},
		"an earlier version has trimmed": {view: logView{created: 1, first: 8, last: 20}, older: true, trimmed: 7, high: 20, created: 1},
		"pages were rewritten":           {view: logView{created: 1, first: 8, last: 20, rewritten: []uint64{5, 7}}, lost: [][2]uint64{{4, 4}, {6, 6}}, trimmed: 7, high: 20, created: 1},
		"pages inside are gone":          {view: logView{created: 1, first: 4, last: 20}, deleted: []LostRange{{First: 9, Last: 9}, {First: 12, Last: 13}}, lost: [][2]uint64{{9, 9}, {12, 13}}, trimmed: 3, high: 20, created: 1},
		"the end is gone":                {view: logView{created: 2, first: 1, last: 15}, short: true, lost: [][2]uint64{{16, 20}}, trimmed: 3, high: 15, created: 2},
		"all is gone":                    {view: logView{created: 2, first: 1, last: 0}, short: true, lost: [][2]uint64{{1, 20}}, trimmed: 0, high: 0, created: 2},
		"the log seems short":            {view: logView{created: 2, first: 4, last: 19}, trimmed: 3, high: 20, created: 1},
	} {
		got := old.afterView(c.view, c.deleted, c.short, c.older)
		assert.Equal(t, c.lost, lost(got), name)
		assert.Equal(t, []uint64{c.trimmed, c.high}, []uint64{got.Trimmed, got.High}, name)
		assert.Equal(t, c.created, got.Created, name)
	}
	acknowledged := logState{Trimmed: 9, High: 20, Lost: []LostRange{{First: 2, Last: 5, Accepted: true}, {First: 6, Last: 7}, {First: 8, Last: 10, Accepted: true}}}
	got := acknowledged.afterView(logView{first: 10, last: 20}, nil, false, false)
	assert.Equal(t, [][2]uint64{{6, 7}, {8, 10}}, lost(got), "acknowledged ranges before the log are forgotten")
	assert.Len(t, acknowledged.Lost, 3, "the earlier state is not changed")
}

// TestStatesDiffer checks that a change of each part of the state is written.
func TestStatesDiffer(t *testing.T) {
	s := logState{Created: 1, Trimmed: 2, High: 3, Lost: []LostRange{{First: 1, Last: 1}}}
	same := s
	same.Lost = slices.Clone(s.Lost)
	assert.True(t, s.equal(same))
	for i, change := range []func(*logState){
		func(s *logState) { s.Created++ }, func(s *logState) { s.Trimmed++ }, func(s *logState) { s.High++ }, func(s *logState) { s.Orphaned = true }, func(s *logState) { s.Hold++ },
		func(s *logState) { s.Lost = []LostRange{{First: 1, Last: 1, Accepted: true}} }, func(s *logState) { s.Damaged = []DamagedFile{{}} },
	} {
		other := s
		change(&other)
		assert.False(t, s.equal(other), i)
	}
}

// TestContradictionsAreConclusive checks when a checkpoint beyond the log stops a partition: at once, but on a cluster, whose servers may disagree for a
// moment, after a time.
func TestContradictionsAreConclusive(t *testing.T) {
	begin := time.Unix(1000, 0)
	for _, c := range []struct {
		shared bool
		cause  string
		log    int64 // of the checkpoint
		after  time.Duration
		want   bool
	}{
		{false, beyondEnd, 7, 0, true}, {true, otherLog, 7, 0, true}, {true, noState, 0, 0, true}, {true, beyondEnd, 8, 0, true},
		{true, beyondEnd, 7, 0, false}, {true, beyondEnd, 0, 0, false}, {true, beyondEnd, 7, leaderGrace, false}, {true, beyondEnd, 7, leaderGrace + 1, true}, {true, beyondEnd, 0, leaderGrace + 1, true},
	} {
		q := &Queue{store: memlog.New(memlog.Options{Shared: c.shared}).Connect()}
		l := newLogMonitor(q)
		bad := &plannedRepair{subject: "book.i.0", BadCheckpoint: BadCheckpoint{Cause: c.cause}}
		first := l.isConclusive(bad, logView{created: 7, requestedAt: begin}, c.log)
		assert.Equal(t, c.want && c.after == 0, first, c)
		assert.Equal(t, c.want, l.isConclusive(bad, logView{created: 7, requestedAt: begin.Add(c.after)}, c.log), c)
	}
}

// TestProcessesOfEarlierVersions checks for how long deletions count as those of an earlier version, which does not record them: while one of its processes
// owns a checkpoint, and for a time after. What cannot be read may be one.
func TestProcessesOfEarlierVersions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, shared := range []bool{false, true} {
			q, log := newFailingQueue(t, memlog.Options{Shared: shared})
			l := newLogMonitor(q)
			own := func(cp checkpoint) {
				stored, err := q.checkpointsOf(t.Context(), "i")
				require.NoError(t, err)
				_, err = q.appendMessage(t.Context(), checkpointsStream, cp.toMessage(checkpointSubject("i", 0), stored[0].revision))
				require.NoError(t, err)
			}
			own(checkpoint{Owner: "new", LogCreated: 1})
			assert.False(t, l.hasOlderVersions(t.Context()), "this version writes the time of the log")
			own(checkpoint{LogCreated: 0})
			assert.False(t, l.hasOlderVersions(t.Context()), "no process uses it")
			own(checkpoint{Owner: "old"})
			assert.Equal(t, shared, l.hasOlderVersions(t.Context()), "only a cluster has other processes")
			own(checkpoint{Owner: "new", LogCreated: 1})
			time.Sleep(olderGrace - 1)
			assert.Equal(t, shared, l.hasOlderVersions(t.Context()))
			time.Sleep(time.Nanosecond)
			assert.False(t, l.hasOlderVersions(t.Context()))
			log.arm(1)
			assert.Equal(t, shared, l.hasOlderVersions(t.Context()))
			log.arm(0)
			l.noteOpenedByOlder()
			assert.True(t, l.hasOlderVersions(t.Context()), "it has opened the log before this process")
		}
	})
}

// gappyLog is a log in memory that says how many of its messages are missing.
type gappyLog struct {
	*memlog.Log
	missing int
}

func (l *gappyLog) Info(ctx context.Context, stream string) (eventlog.Info, error) {
	info, err := l.Log.Info(ctx, stream)
	info.Missing = l.missing
	return info, err
}

// TestManyMissingPages checks that missing pages are listed one by one, unless there are too many: then the whole log counts as lost.
func TestManyMissingPages(t *testing.T) {
	q, _ := newMemoryQueue(t, Config{Partitions: 1})
	for range 6 {
		_, err := q.store.Append(t.Context(), eventsStream, []eventlog.Write{{Subject: "ev.web.0", Data: []byte("{}")}})
		require.NoError(t, err)
	}
	require.NoError(t, q.store.PurgeBefore(t.Context(), eventsStream, 2))
	require.NoError(t, q.store.Delete(t.Context(), eventsStream, 4))
	log := q.store.(*memlog.Log)
	for missing, want := range map[int][]LostRange{0: nil, 1: {{First: 4, Last: 4}}, maxListedDeleted: {{First: 4, Last: 4}}, maxListedDeleted + 1: {{First: 2, Last: 6}}} {
		q.store = &gappyLog{log, missing}
		view, deleted, err := q.monitor.readView(t.Context(), 1)
		require.NoError(t, err)
		assert.Equal(t, want, deleted, missing)
		assert.Equal(t, []uint64{2, 6}, []uint64{view.first, view.last})
	}
}
