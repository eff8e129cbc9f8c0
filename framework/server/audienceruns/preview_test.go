package audienceruns_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/runtime/config"
	"github.com/landfall-dev/landfall/framework/server/audienceruns"
)

// TestPreviewChangesNothing checks what a preview says about the next run: who would enter and leave, and whether it would wait.
func TestPreviewChangesNothing(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	s := r.start(nil)
	defer s.Close()
	preview := func() audienceruns.Preview {
		p, err := s.Preview(t.Context(), vips)
		require.NoError(t, err)
		return p
	}
	r.exec("INSERT INTO vips SELECT value FROM json_each('[" + numbers(101, 250) + "]')")
	p := preview()
	assert.Equal(t, []int{250, 100, 0}, []int{p.Report.Enters, len(p.Enters), len(p.Exits)}, "the first users are named")
	assert.Zero(t, r.members(), "nothing was sent")
	require.NoError(t, s.RunNow(t.Context(), vips, "me"))
	r.waitForRuns(s, 1)

	r.exec("DELETE FROM vips WHERE id <= 2")
	r.exec("INSERT INTO vips VALUES (300)")
	p = preview()
	assert.Equal(t, []string{"external_id:300"}, p.Enters)
	assert.ElementsMatch(t, []string{"external_id:1", "external_id:2"}, p.Exits)
	assert.Nil(t, p.Waits)
	r.exec("DELETE FROM vips WHERE id <= 100")
	p = preview()
	require.NotNil(t, p.Waits, "too many would leave")
	assert.Equal(t, []int{100, 100}, []int{p.Report.Exits, len(p.Exits)})
	assert.Equal(t, 250, r.members())
	_, err := s.Preview(t.Context(), audienceruns.Choice{Sync: "other"})
	var wrong *audienceruns.ChoiceError
	assert.ErrorAs(t, err, &wrong)

	r.change(func(sync *config.AudienceSync) {
		sync.Mode, sync.Query = "add", "SELECT CASE id WHEN 101 THEN id END AS external_id FROM vips"
	})
	p = preview()
	assert.Len(t, p.UnreadableRows, 100, "the first rows are named")
	assert.Equal(t, 150, p.Report.Unusable)
}
