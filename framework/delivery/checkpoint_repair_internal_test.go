package delivery

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog"
	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog/memlog"
)

// TestCheckpointsAreComparedWithTheLog checks which checkpoints match a log of four pages, stored at seconds 101 to 104 after it was created at 100, and
// where the others are set, so that no page is skipped.
func TestCheckpointsAreComparedWithTheLog(t *testing.T) {
	q, now := newMemoryQueue(t, Config{Partitions: 1})
	at := func(second int64) int64 { return time.Unix(second, 0).UnixNano() }
	for second := range int64(4) {
		now.set(time.Unix(101+second, 0))
		_, err := q.store.Append(t.Context(), eventsStream, []eventlog.Write{{Subject: "ev.web.0", Data: []byte("{}")}})
		require.NoError(t, err)
	}
	view := logView{created: at(100), first: 1, last: 4}
	trimmed := logView{created: at(100), first: 3, last: 4}
	for name, c := range map[string]struct {
		cp    checkpoint
		view  logView
		cause string
		to    uint64
	}{
		"at the end":                       {checkpoint{Low: 5, LogCreated: at(100), Anchor: &anchor{4, at(104)}}, view, "", 0},
		"in the log":                       {checkpoint{Low: 3, LogCreated: at(100), Anchor: &anchor{2, at(102)}}, view, "", 0},
		"without an anchor":                {checkpoint{Low: 3, LogCreated: at(100)}, view, "", 0},
		"of an earlier version":            {checkpoint{Low: 5}, view, "", 0},
		"without progress":                 {checkpoint{Low: 1, LogCreated: at(50)}, view, "", 0},
		"its anchor is trimmed":            {checkpoint{Low: 3, LogCreated: at(50), Anchor: &anchor{2, at(60)}}, trimmed, "", 0},
		"its anchor is the first page":     {checkpoint{Low: 4, LogCreated: at(50), Anchor: &anchor{3, at(60)}}, trimmed, otherLog, 3},
		"restored from a backup":           {checkpoint{Low: 3, LogCreated: at(50), Anchor: &anchor{2, at(102)}}, logView{created: at(110), first: 1, last: 4}, "", 0},
		"beyond the end":                   {checkpoint{Low: 7, LogCreated: at(100), Anchor: &anchor{6, at(106)}}, view, beyondEnd, 5},
		"a finished page beyond the end":   {checkpoint{Low: 2, Done: [][2]uint64{{3, 5}}, LogCreated: at(100)}, view, beyondEnd, 2},
		"an unfinished page beyond":        {checkpoint{Low: 2, Partial: map[string]string{"5": "AQ"}, LogCreated: at(100)}, view, beyondEnd, 2},
		"beyond the end of a new log":      {checkpoint{Low: 9, LogCreated: at(50)}, view, beyondEnd, 1},
		"beyond, with another anchor":      {checkpoint{Low: 9, LogCreated: at(100), Anchor: &anchor{3, at(102)}}, view, beyondEnd, 3},
		"other events at the anchor":       {checkpoint{Low: 4, LogCreated: at(100), Anchor: &anchor{3, at(102)}}, view, otherLog, 3},
		"of another log":                   {checkpoint{Low: 4, LogCreated: at(50)}, view, otherLog, 1},
		"of another log, with an old page": {checkpoint{Low: 4, LogCreated: at(50), Anchor: &anchor{3, at(60)}}, view, otherLog, 1},
	} {
		bad, err := q.verifyCheckpoint(t.Context(), storedCheckpoint{instance: "i", subject: "book.i.0", revision: 7, checkpoint: c.cp}, c.view)
		require.NoError(t, err)
		if c.cause == "" {
			assert.Nil(t, bad, name)
			continue
		}
		if assert.NotNil(t, bad, name) {
			assert.Equal(t, BadCheckpoint{Instance: "i", Cause: c.cause, At: c.cp.lastPage(), LogEnd: 4, To: c.to}, bad.BadCheckpoint, name)
			assert.Equal(t, []any{c.to, c.view.created, uint64(7), "book.i.0"}, []any{bad.repaired.Low, bad.repaired.LogCreated, bad.revision, bad.subject}, name)
		}
	}
}

// TestRepairsAreNotGuessed lets each call fail while a checkpoint is compared with a log that has other events than those that were delivered.
func TestRepairsAreNotGuessed(t *testing.T) {
	q, _ := newMemoryQueue(t, Config{Partitions: 1})
	for range 4 {
		_, err := q.store.Append(t.Context(), eventsStream, []eventlog.Write{{Subject: "ev.web.0", Data: []byte("{}")}})
		require.NoError(t, err)
	}
	log := &failingLog{Log: q.store.(*memlog.Log)}
	q.store = log
	c := storedCheckpoint{checkpoint: checkpoint{Low: 4, LogCreated: 100, Anchor: &anchor{3, 50}}}
	calls := 0
	for failAt := 1; failAt < 20; failAt++ {
		log.arm(failAt)
		if _, err := q.verifyCheckpoint(t.Context(), c, logView{created: 100, first: 1, last: 4}); err == nil {
			break
		} else if assert.ErrorIs(t, err, errLogFails) {
			calls++
		}
	}
	log.arm(0)
	assert.GreaterOrEqual(t, calls, 3)
}

// TestRepairedCheckpointsKeepWhatIsFinished checks that a repair forgets what a checkpoint says beyond the log, and nothing else.
func TestRepairedCheckpointsKeepWhatIsFinished(t *testing.T) {
	q, now := newMemoryQueue(t, Config{Partitions: 1})
	now.set(time.Unix(101, 0))
	for range 4 {
		_, err := q.store.Append(t.Context(), eventsStream, []eventlog.Write{{Subject: "ev.web.0", Data: []byte("{}")}})
		require.NoError(t, err)
	}
	cp := checkpoint{Low: 2, Start: 9, Done: [][2]uint64{{3, 3}, {4, 6}, {5, 8}}, Partial: map[string]string{"2": "AQ", "4": "Ag", "5": "AQ"}, Counts: map[string]int64{"delivered": 7}}
	bad := &plannedRepair{}
	require.NoError(t, q.planRepair(t.Context(), bad, cp, logView{created: 100, first: 1, last: 4}, 0))
	assert.Equal(t, checkpoint{
		Low: 2, Start: 5, Done: [][2]uint64{{3, 3}, {4, 4}}, Partial: map[string]string{"2": "AQ", "4": "Ag"}, Counts: cp.Counts, LogCreated: 100, Anchor: &anchor{4, time.Unix(101, 0).UnixNano()},
	}, bad.repaired)
	require.NoError(t, q.planRepair(t.Context(), bad, checkpoint{Low: 5}, logView{created: 100}, 0))
	assert.Equal(t, checkpoint{Low: 1, LogCreated: 100}, bad.repaired, "an empty log")
}

// TestFirstMessageAfterATime checks the search for the first page after a time, also if pages have the same time or are missing: then the place of a
// missing one will do.
func TestFirstMessageAfterATime(t *testing.T) {
	q, now := newMemoryQueue(t, Config{Partitions: 1})
	for _, second := range []int64{10, 20, 20, 30, 40, 50} {
		now.set(time.Unix(second, 0))
		_, err := q.store.Append(t.Context(), eventsStream, []eventlog.Write{{Subject: "ev.web.0", Data: []byte("{}")}})
		require.NoError(t, err)
	}
	require.NoError(t, q.store.Delete(t.Context(), eventsStream, 4))
	info, err := q.store.Info(t.Context(), eventsStream)
	require.NoError(t, err)
	for second, want := range map[int64]uint64{0: 1, 9: 1, 10: 2, 19: 2, 20: 4, 29: 4, 30: 4, 39: 4, 40: 6, 49: 6, 50: 7, 99: 7} {
		seq, err := q.firstMessageAfter(t.Context(), eventsStream, info, time.Unix(second, 0))
		require.NoError(t, err)
		assert.Equal(t, want, seq, second)
	}
}

// TestSubjectsOfCheckpoints checks that only messages of an instance and a partition are taken for checkpoints.
func TestSubjectsOfCheckpoints(t *testing.T) {
	q, _ := newMemoryQueue(t, Config{Partitions: 1})
	for _, subject := range []string{"book.a=2Eb.7", "book.i.0", "book.i.x", "book.i.0.1", "book.3"} {
		_, err := q.store.Append(t.Context(), checkpointsStream, []eventlog.Write{{Subject: subject, Data: []byte(`{"low":4}`)}})
		require.NoError(t, err)
	}
	seen := map[partitionID]uint64{}
	require.NoError(t, q.eachCheckpoint(t.Context(), allCheckpoints, func(c storedCheckpoint) error {
		seen[partitionID{c.instance, c.partition}] = c.checkpoint.Low
		return nil
	}))
	assert.Equal(t, map[partitionID]uint64{{"a.b", 7}: 4, {"i", 0}: 4}, seen)
}

// TestOwnersOfCheckpoints checks that the owner is read without decoding the rest, whatever its name has.
func TestOwnersOfCheckpoints(t *testing.T) {
	for _, owner := range []string{"", "local", `a"b`, `a\b`, "é"} {
		data := checkpoint{Owner: owner, Low: 3, Done: [][2]uint64{{4, 5}}}.toMessage("s", 1).Data
		assert.Equal(t, owner, ownerOf(data), owner)
		assert.EqualValues(t, 3, parseCheckpoint(data).Low)
	}
	assert.Equal(t, "later", ownerOf([]byte(`{"low":1,"owner":"later"}`)))
	assert.Empty(t, ownerOf([]byte(`{"low":1`)))
}

// TestMissingCheckpoints checks which checkpoints count as missing: those of an instance that others say has delivered, or of any instance
// if the log had events before a checkpoint was stored. A repair starts them at the first page.
func TestMissingCheckpoints(t *testing.T) {
	for name, c := range map[string]struct {
		stored   []checkpoint // of the first partitions
		orphaned bool
		missing  []int
	}{
		"a new instance":                    {},
		"all are missing":                   {orphaned: true, missing: []int{0, 1, 2}},
		"one is missing":                    {stored: []checkpoint{{Low: 2, Owner: "a"}, {Low: 2}}, missing: []int{2}},
		"one is missing, of a stopped one":  {stored: []checkpoint{{Low: 2, Counts: map[string]int64{countDelivered: 1}}}, missing: []int{1, 2}},
		"none is missing":                   {stored: []checkpoint{{Low: 2, Owner: "a"}, {Low: 2}, {Low: 2}}, orphaned: true},
		"creating them was interrupted":     {stored: []checkpoint{{Low: 2}, {Low: 2}}},
		"it was, and the log had no others": {stored: []checkpoint{{Low: 2}}, orphaned: true},
	} {
		q, _ := newMemoryQueue(t, Config{Partitions: 3})
		for range 3 {
			_, err := q.store.Append(t.Context(), eventsStream, []eventlog.Write{{Subject: "ev.web.0", Data: []byte("{}")}})
			require.NoError(t, err)
		}
		require.NoError(t, q.store.PurgeBefore(t.Context(), eventsStream, 2))
		require.NoError(t, q.monitor.updateState(t.Context(), func(s *logState) { s.Orphaned, s.Trimmed = c.orphaned, 1 }))
		for n, cp := range c.stored {
			_, err := q.appendMessage(t.Context(), checkpointsStream, cp.toMessage(checkpointSubject("i", n), 0))
			require.NoError(t, err)
		}
		for _, dryRun := range []bool{true, false} {
			list, err := q.RepairCheckpoints(t.Context(), RepairOptions{Instances: []string{"i"}, DryRun: dryRun})
			require.NoError(t, err, name)
			var missing []int
			for _, b := range list {
				missing = append(missing, b.Partition)
				assert.Equal(t, BadCheckpoint{Instance: "i", Partition: b.Partition, Cause: noState, LogEnd: 3, To: 2}, b, name)
			}
			assert.Equal(t, c.missing, missing, name)
		}
		stored, err := q.checkpointsOf(t.Context(), "i")
		require.NoError(t, err)
		for _, n := range c.missing {
			assert.Equal(t, []any{uint64(2), q.monitor.view.created}, []any{stored[n].checkpoint.Low, stored[n].checkpoint.LogCreated}, name)
		}
		assert.Len(t, stored, len(c.stored)+len(c.missing), name)
		assert.False(t, q.monitor.state.Orphaned, name)
	}
}

// TestAcknowledgedLosses checks that a repair acknowledges lost pages and damaged files only if it is asked to.
func TestAcknowledgedLosses(t *testing.T) {
	q, _ := newMemoryQueue(t, Config{Partitions: 1})
	require.NoError(t, q.monitor.updateState(t.Context(), func(s *logState) {
		s.Lost, s.Damaged = []LostRange{{First: 3, Last: 4}}, []DamagedFile{{FileDamage: eventlog.FileDamage{Stream: eventsStream, File: "1.blk"}}}
	}))
	for _, o := range []RepairOptions{{}, {AcceptLoss: true, DryRun: true}, {AcceptLoss: true}} {
		_, err := q.RepairCheckpoints(t.Context(), o)
		require.NoError(t, err)
		d, accepted := q.Damage(), o.AcceptLoss && !o.DryRun
		assert.Equal(t, []bool{accepted, accepted, accepted}, []bool{len(d.Lost) == 0, len(d.Files) == 0, len(q.Problems()) == 0}, o)
	}
}
