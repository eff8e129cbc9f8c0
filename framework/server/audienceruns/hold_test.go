package audienceruns_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/files/audiencesync"
	"github.com/landfall-dev/landfall/framework/server/audienceruns"
)

// TestCommandsThatLoseTheLease checks that a command removes nobody after another process has taken its audience over, or without the state.
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
