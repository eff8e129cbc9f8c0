package audienceruns_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/runtime/config"
	"github.com/landfall-dev/landfall/framework/server/audienceruns"
)

// incrementalRig is a rig whose sync is incremental. The rows have changed long ago.
func incrementalRig(t *testing.T) (*rig, *audienceruns.Scheduler, func() audienceruns.Run) {
	r := newRig(t)
	r.exec("ALTER TABLE vips ADD COLUMN changed INTEGER")
	r.exec("ALTER TABLE vips ADD COLUMN gone BOOLEAN")
	r.exec("UPDATE vips SET changed = unixepoch() - 1000000")
	r.change(func(sync *config.AudienceSync) {
		sync.Query, sync.Incremental = "SELECT id AS external_id, changed, gone FROM vips", &config.Incremental{Column: "changed", Removed: "gone", Full: 24 * time.Hour, Overlap: 10 * time.Minute}
		sync.Schedule = nil // only the test starts runs
	})
	s := r.start(nil)
	t.Cleanup(s.Close)
	runs := 0
	return r, s, func() audienceruns.Run {
		t.Helper()
		runs++
		require.NoError(t, s.RunNow(t.Context(), vips, "me"))
		return r.waitForRuns(s, runs)
	}
}

// outcome is what a run has read and sent.
func outcome(r audienceruns.Run) []any {
	return []any{r.Outcome, r.Changes, r.Report.Rows, r.Report.Enters, r.Report.Exits}
}

// TestIncrementalRunsReadWhatHasChanged checks which rows runs read: those that have changed since the newest successful run, with an overlap.
func TestIncrementalRunsReadWhatHasChanged(t *testing.T) {
	t.Parallel()
	r, _, run := incrementalRig(t)
	require.Equal(t, []any{audienceruns.OK, false, 100, 100, 0}, outcome(run()))
	assert.Equal(t, []any{audienceruns.OK, true, 0, 0, 0}, outcome(run()), "no row has changed, and no user leaves")

	r.exec("INSERT INTO vips VALUES (101, unixepoch() - 300, 0)")
	assert.Equal(t, []any{audienceruns.OK, true, 1, 1, 0}, outcome(run()), "a transaction that was committed late")
	assert.Equal(t, []any{audienceruns.OK, true, 1, 0, 0}, outcome(run()), "a row that is read twice changes nothing")
	r.exec("UPDATE vips SET gone = 1, changed = unixepoch() WHERE id <= 3")
	r.exec("INSERT INTO vips VALUES (102, NULL, 0)")
	assert.Equal(t, []any{audienceruns.OK, true, 5, 1, 3}, outcome(run()), "rows that leave, and one without a time")
	assert.Equal(t, 99, r.members())

	r.exec("DELETE FROM vips WHERE id = 50")
	r.exec("INSERT INTO vips VALUES (103, unixepoch() - 2000, 0)")
	assert.Equal(t, []any{audienceruns.OK, true, 5, 0, 0}, outcome(run()), "what only the whole result shows")
	r.advance(25 * time.Hour)
	full := outcome(run())
	assert.Equal(t, []any{audienceruns.OK, false, 102, 1, 1}, full)
	assert.Equal(t, 99, r.members(), "those who left, stay out")
	assert.Equal(t, []any{audienceruns.OK, true, 5, 0, 0}, outcome(run()))
}

// TestIncrementalRunOfUnreadableRows checks that one damaged row does not fail the runs until another row changes, and is not lost.
func TestIncrementalRunOfUnreadableRows(t *testing.T) {
	t.Parallel()
	r, _, run := incrementalRig(t)
	r.change(func(sync *config.AudienceSync) {
		incremental := *sync.Incremental
		incremental.Overlap = 0
		sync.Incremental = &incremental
	})
	require.Equal(t, []any{audienceruns.OK, false, 100, 100, 0}, outcome(run()))
	r.exec("INSERT INTO vips VALUES (101, unixepoch() + 3600, 'perhaps')")
	for range 2 { // the second run reads the row again
		damaged := run()
		assert.Equal(t, []any{audienceruns.OK, true, 1, 0, 0}, outcome(damaged))
		assert.Equal(t, 1, damaged.Report.Unusable)
		assert.Equal(t, []string{"no row that has changed can be read (1 row): correct the query or the row; the next run reads it again"}, damaged.Report.Warnings)
	}
	r.exec("UPDATE vips SET gone = 0 WHERE id = 101")
	assert.Equal(t, []any{audienceruns.OK, true, 1, 1, 0}, outcome(run()))
	r.exec("UPDATE vips SET gone = 'perhaps'")
	r.advance(25 * time.Hour)
	assert.Equal(t, audienceruns.Failed, run().Outcome, "the whole result")
}

// TestIncrementalRunsAfterFailures checks that a run which did not succeed is no beginning for the next, and that changes of another kind are followed
// by a run of the whole result.
func TestIncrementalRunsAfterFailures(t *testing.T) {
	t.Parallel()
	r, s, run := incrementalRig(t)
	r.change(func(sync *config.AudienceSync) {
		incremental := *sync.Incremental
		incremental.Overlap = 0
		sync.Incremental = &incremental
	})
	require.Equal(t, []any{audienceruns.OK, false, 100, 100, 0}, outcome(run()))
	r.exec("INSERT INTO vips VALUES (101, unixepoch() + 3600, 0)")
	r.exec("ALTER TABLE vips RENAME COLUMN gone TO left")
	assert.Equal(t, audienceruns.Failed, run().Outcome)
	r.exec("ALTER TABLE vips RENAME COLUMN left TO gone")
	assert.Equal(t, []any{audienceruns.OK, true, 1, 1, 0}, outcome(run()), "the failed run has read nothing")

	r.exec("UPDATE vips SET gone = 1, changed = unixepoch() + 3600 WHERE id <= 20")
	waiting := run()
	assert.Equal(t, []any{audienceruns.Waiting, true, 21, 0, 20}, outcome(waiting), "the guard holds for rows that leave")
	assert.Equal(t, 101, r.members())
	assert.Equal(t, audienceruns.Waiting, run().Outcome)
	r.exec("UPDATE vips SET gone = 0, changed = unixepoch() + 3600 WHERE id <= 20")
	assert.Equal(t, []any{audienceruns.OK, true, 21, 0, 0}, outcome(run()))
	r.exec("UPDATE vips SET gone = 'perhaps', changed = unixepoch() + 3600 WHERE id = 1")
	assert.Equal(t, 1, run().Report.Unusable)
	r.exec("UPDATE vips SET gone = 0 WHERE id = 1")

	held, _, err := audienceruns.HoldAudience(t.Context(), audienceruns.HoldOptions{
		Ledger: r.list[0].Ledger, Instance: "braze", Audience: "vips", Syncs: r.currentSyncs(), By: "landfall members purge", Now: r.currentTime,
	})
	require.NoError(t, err)
	_, err = held.Release(nil, nil)
	require.NoError(t, err)
	assert.False(t, run().Changes, "a command has changed the audience")
	assert.True(t, run().Changes)
	r.change(func(sync *config.AudienceSync) { sync.Query += " WHERE id > 0" })
	assert.False(t, run().Changes, "another query")
	assert.True(t, run().Changes)
	for _, change := range []func(sync *config.AudienceSync){
		func(sync *config.AudienceSync) { sync.Key = "external_id" },
		func(sync *config.AudienceSync) { sync.Columns = map[string]string{"external_id": "external_id"} },
		func(sync *config.AudienceSync) { sync.Audience = "others" },
		func(sync *config.AudienceSync) {
			sync.Query = "SELECT id AS external_id, changed, gone, 'others' AS segment FROM vips"
		},
		func(sync *config.AudienceSync) { sync.Only = "segment" },
	} {
		r.change(change)
		assert.False(t, run().Changes, "other users")
		assert.True(t, run().Changes)
	}
	r.change(func(sync *config.AudienceSync) {
		sync.Query += " UNION ALL SELECT id, changed, 0, 'others' FROM vips WHERE id = 7"
	})
	whole := run()
	assert.Contains(t, strings.Join(whole.Report.Warnings, "\n"), "a row repeats a user: a run that reads only what has changed does not see the others, and a row with gone takes the user out")
	assert.Empty(t, run().Report.Warnings)
	r.advance(-time.Hour)
	assert.False(t, run().Changes, "the clock was set back")

	preview, err := s.Preview(t.Context(), vips)
	require.NoError(t, err)
	assert.Less(t, preview.Report.Rows, 100, "a preview is of the next run")
}
