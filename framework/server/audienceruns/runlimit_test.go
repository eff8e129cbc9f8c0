package audienceruns_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/runtime/config"
	"github.com/landfall-dev/landfall/framework/server/audienceruns"
)

// TestRunsHaveATimeLimit checks that a run which takes too long fails, and that the next one completes it.
func TestRunsHaveATimeLimit(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.change(func(sync *config.AudienceSync) { sync.RunLimit = time.Nanosecond })
	s := r.start(nil)
	defer s.Close()
	require.NoError(t, s.RunNow(t.Context(), vips, "me"))
	run := r.waitForRuns(s, 1)
	assert.Equal(t, []any{audienceruns.Failed, "the run was stopped, since it took longer than its runLimit, 1ns; the next run continues it"}, []any{run.Outcome, run.Error})
	s.Close()
	r.change(func(sync *config.AudienceSync) { sync.RunLimit = 0 })
	again := r.start(nil)
	defer again.Close()
	require.NoError(t, again.RunNow(t.Context(), vips, "me"))
	run = r.waitForRuns(again, 2)
	assert.Equal(t, []any{audienceruns.OK, 100}, []any{run.Outcome, run.Report.Enters})
	assert.NotEmpty(t, run.Repeats)
}
