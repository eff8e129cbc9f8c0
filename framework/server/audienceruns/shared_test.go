package audienceruns_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/runtime/config"
	"github.com/landfall-dev/landfall/framework/server/audienceruns"
	"github.com/landfall-dev/landfall/framework/state"
)

// randomUser returns a query whose user is another one each time that it runs, in several audiences, with a column of properties and a row of no audience.
const randomUser = `WITH one AS MATERIALIZED (SELECT hex(randomblob(8)) AS id)
	SELECT id AS external_id, 'a' AS segment, 1.5 AS price FROM one UNION ALL SELECT id, 'b', NULL FROM one UNION ALL SELECT id, 'c', 'x' FROM one UNION ALL SELECT 'unlisted', NULL, NULL`

// TestSyncsOfSeveralAudiencesShareAResult checks that one run of a query serves the syncs of all its audiences at a time of the schedule, and that a run which
// an operator asks for reads the present.
func TestSyncsOfSeveralAudiencesShareAResult(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	first := r.currentSyncs()[0]
	var syncs []config.AudienceSync
	for _, id := range []string{"a", "b", "c"} {
		sync := first
		sync.ID, sync.Audience, sync.Only, sync.Query, sync.MaxRemove = id, id, "segment", randomUser, 100
		sync.Properties = config.Properties{Names: []string{"price"}}
		syncs = append(syncs, sync)
	}
	r.setSyncs(syncs)
	s := r.start(nil)
	defer s.Close()
	member := func(audience string) (user string) {
		require.NoError(t, r.list[0].Ledger.Each(t.Context(), audience, "", func(m state.Membership) error {
			if m.Member {
				assert.Empty(t, user, "one member")
				user = m.Identity
			}
			return nil
		}))
		return user
	}
	waitForAll := func(n int) []audienceruns.Run {
		t.Helper()
		var list []audienceruns.Run
		require.Eventually(t, func() bool {
			var err error
			list, err = s.History(t.Context(), "", 1000)
			require.NoError(t, err)
			return len(list) >= n
		}, patience, 10*time.Millisecond)
		for _, run := range list {
			require.Equal(t, audienceruns.OK, run.Outcome, run.Error)
			require.Equal(t, 1, run.Report.Rows)
		}
		return list
	}
	require.Eventually(t, func() bool {
		list, err := s.List(t.Context())
		require.NoError(t, err)
		return len(list) == 3 && !list[2].Next.IsZero()
	}, patience, 10*time.Millisecond)
	r.advance(33 * time.Minute) // so late that runs which begin within two minutes share the result
	waitForAll(3)
	shared := member("a")
	require.NotEmpty(t, shared)
	assert.Equal(t, []string{shared, shared}, []string{member("b"), member("c")})

	require.NoError(t, s.RunNow(t.Context(), audienceruns.Choice{Sync: "a"}, "me"))
	waitForAll(4)
	assert.NotEqual(t, shared, member("a"))
	assert.Equal(t, shared, member("b"))
	preview, err := s.Preview(t.Context(), audienceruns.Choice{Sync: "b"})
	require.NoError(t, err)
	assert.NotContains(t, preview.Enters, shared)

	r.advance(time.Hour)
	waitForAll(7)
	assert.Equal(t, []string{member("a"), member("a")}, []string{member("b"), member("c")})
	assert.NotEqual(t, shared, member("a"))
}

// TestSharedResultsThatFail checks that all syncs of a query report its error, change nothing, and that the next runs read it again. Rows that are unreadable
// are known to each.
func TestSharedResultsThatFail(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	first := r.currentSyncs()[0]
	var syncs []config.AudienceSync
	for _, id := range []string{"a", "b"} {
		sync := first
		sync.ID, sync.Audience, sync.Only, sync.MaxRemove = id, id, "segment", 100
		sync.Query = "SELECT CASE WHEN id = 100 THEN 1.5 ELSE id END AS external_id, CASE id % 2 WHEN 0 THEN 'a' ELSE 'b' END AS segment FROM vips WHERE abs(id) > 0"
		syncs = append(syncs, sync)
	}
	r.setSyncs(syncs)
	s := r.start(nil)
	defer s.Close()
	run := func(id string, n int) audienceruns.Run {
		t.Helper()
		require.NoError(t, s.RunNow(t.Context(), audienceruns.Choice{Sync: id}, "me"))
		var list []audienceruns.Run
		require.Eventually(t, func() bool {
			var err error
			list, err = s.History(t.Context(), id, 1000)
			require.NoError(t, err)
			return len(list) == n
		}, patience, 10*time.Millisecond)
		return list[0]
	}
	for _, id := range []string{"a", "b"} {
		report := run(id, 1).Report
		assert.Equal(t, 1, report.Unusable, "a row whose user is unknown may be of any audience")
		assert.Equal(t, map[string]int{"a": 49, "b": 50}[id], report.Enters)
	}
	r.exec("INSERT INTO vips VALUES (-9223372036854775808)") // abs fails in the middle of the result
	for _, id := range []string{"a", "b"} {
		failed := run(id, 2)
		assert.Equal(t, audienceruns.Failed, failed.Outcome)
		assert.Contains(t, failed.Error, "integer overflow")
		assert.Zero(t, failed.Report.Exits)
	}
	r.exec("DELETE FROM vips WHERE id < 0 OR id = 100")
	for _, id := range []string{"a", "b"} {
		assert.Equal(t, audienceruns.OK, run(id, 3).Outcome)
	}
}
