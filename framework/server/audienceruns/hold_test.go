package audienceruns_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/files/audiencesync"
	"github.com/landfall-dev/landfall/framework/server/audienceruns"
)

// TestCommandsThatLoseTheLease checks that a command removes no member after another process has taken its audience over, or without the state.
func TestCommandsThatLoseTheLease(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	hold := func() (*audienceruns.Hold, error) {
		h, _, err := audienceruns.HoldAudience(t.Context(), audienceruns.HoldOptions{
			Ledger: r.list[0].Ledger, Instance: "braze", Audience: "vips", Syncs: r.currentSyncs(), By: "landfall sync", Lease: time.Hour, Now: r.currentTime,
		})
		return h, err
	}
	held, err := hold()
	require.NoError(t, err)
	require.NoError(t, held.AllowRemovals(6))
	require.NoError(t, held.Lost())
	require.NoError(t, r.list[0].Ledger.Put(t.Context(), "audienceSync/vips", `{"holder":"another process","beat":1}`))
	assert.Error(t, held.AllowRemovals(6))
	_, err = held.Release(&audiencesync.Report{Audience: "vips", Exits: 6}, nil)
	assert.Error(t, err)

	require.NoError(t, r.list[0].Ledger.Put(t.Context(), "audienceSync/vips", `{}`))
	held, err = hold()
	require.NoError(t, err)
	require.NoError(t, r.store.Close())
	assert.Error(t, held.AllowRemovals(6))
	_, err = held.Release(nil, nil)
	assert.Error(t, err)
	_, err = hold()
	assert.Error(t, err)
}

// TestCommandsThatWait checks that a command says once for whom it waits, takes over the lease of a process that died, and that its context ends with the
// lease.
func TestCommandsThatWait(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	require.NoError(t, r.list[0].Ledger.Put(t.Context(), "audienceSync/vips", `{"holder":"a dead process","beat":1,"run":{"id":"dead","startedBy":"an operator"}}`))
	var told []string
	held, ctx, err := audienceruns.HoldAudience(t.Context(), audienceruns.HoldOptions{
		Ledger: r.list[0].Ledger, Instance: "braze", Audience: "vips", Syncs: r.currentSyncs(), By: "landfall sync", Lease: 8 * time.Second, Now: r.currentTime,
		OnWait: func(by string) { told = append(told, by) },
	})
	require.NoError(t, err)
	assert.Equal(t, []string{"an operator"}, told)
	require.NoError(t, ctx.Err())
	_, err = held.Release(nil, nil)
	require.NoError(t, err)
	assert.Error(t, ctx.Err())
	assert.NoError(t, held.Lost(), "it was given back")

	held, ctx, err = audienceruns.HoldAudience(t.Context(), audienceruns.HoldOptions{Ledger: r.list[0].Ledger, Instance: "braze", Audience: "gold", By: "landfall sync", Lease: 3 * time.Second})
	require.NoError(t, err)
	require.NoError(t, r.list[0].Ledger.Put(t.Context(), "audienceCommand/gold", `{"holder":"another process","beat":1}`))
	<-ctx.Done()
	assert.Error(t, held.Lost(), "another process has the audience")
	_, err = held.Release(nil, nil)
	assert.Error(t, err)
	assert.NoError(t, (*audienceruns.Hold)(nil).Lost())
}

// TestRecordsOfRunsExpire checks that a server deletes old records when it writes a new one, if its clock can be trusted with that.
func TestRecordsOfRunsExpire(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	now := r.currentTime()
	for id, days := range map[string]int{"old": 91, "recent": 89} {
		at := now.AddDate(0, 0, -days)
		require.NoError(t, audienceruns.SaveRun(t.Context(), r.store, &audienceruns.Run{ID: id, Sync: "vips", At: at}))
	}
	for _, c := range []struct {
		id        string
		mayDelete bool
		want      []string
	}{{"doubtful", false, []string{"old", "recent", "doubtful"}}, {"new", true, []string{"recent", "doubtful", "new"}}} {
		settings := r.settings(nil)
		settings.MayDeleteByAge = func() bool { return c.mayDelete }
		s := audienceruns.New(settings)
		s.Record(t.Context(), &audienceruns.Run{ID: c.id, Sync: "vips", At: now})
		list, err := s.History(t.Context(), "vips", 9)
		require.NoError(t, err)
		var ids []string
		for _, run := range list {
			ids = append(ids, run.ID)
		}
		assert.ElementsMatch(t, c.want, ids)
		s.Close()
	}
}
