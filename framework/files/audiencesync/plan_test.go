package audiencesync_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/files/audiencesync"
	"github.com/landfall-dev/landfall/internal/testsize"
)

// TestEventsBetweenComparisonAndDecision delivers random events after a mirror has compared the ledger and before it decides. Those from before the
// decision have no effect, newer ones win, and the remote has the same members as the ledger.
func TestEventsBetweenComparisonAndDecision(t *testing.T) {
	for seed := range uint64(testsize.Of(60, 20)) {
		h := newHistory(t, 1)
		random := rand.New(rand.NewPCG(seed, 7))
		began := h.now
		var list []string
		want := map[string]bool{}
		for i := range 8 {
			id := fmt.Sprintf("u%d", i)
			if random.IntN(2) == 0 {
				list = append(list, id)
			}
			want[id] = slices.Contains(list, id)
			if random.IntN(3) > 0 { // the others are unknown
				h.deliverAt(id, random.IntN(2) == 0, began.Add(-3*time.Hour))
			}
		}
		list = append(list, "u9") // a file without users is refused
		happened := []string{}
		h.syncer.Guard = func(int, int) error {
			for range 1 + random.IntN(6) {
				id, member := fmt.Sprintf("u%d", random.IntN(8)), random.IntN(2) == 0
				offset := time.Duration(1+len(happened)) * time.Second
				if random.IntN(3) > 0 {
					offset -= time.Hour
				} else {
					want[id] = member
				}
				happened = append(happened, fmt.Sprintf("%s %v %v", id, member, offset))
				h.deliverAt(id, member, began.Add(offset))
			}
			return nil
		}
		_, err := h.syncer.Sync(t.Context(), vip, fileOf(t, h.syncer, list...), audiencesync.Mirror, 1)
		require.NoError(t, err)
		members := h.members()
		for id, member := range want {
			assert.Equal(t, member, slices.Contains(members, id), "%s with the seed %d: the list is %v, then %v", id, seed, list, happened)
			found, _, _, err := h.syncer.Ledger.Find(t.Context(), vip.ID, "external_id:"+id)
			require.NoError(t, err)
			assert.Equal(t, member, found.Member, "%s in the ledger with the seed %d", id, seed)
			assert.False(t, found.Uncertain, id)
		}
		require.NoError(t, h.store.Close())
	}
}

// TestMirrorRemovesUsersByTheirWholeIdentity checks that the exit of a user whose identifier begins with another's and a zero byte removes only this user.
func TestMirrorRemovesUsersByTheirWholeIdentity(t *testing.T) {
	h := newHistory(t, 1)
	defer h.store.Close()
	for _, id := range []string{"bob", "bob\x00", "bob\x00+", "eve\x00+"} {
		h.deliverAt(id, true, h.now.Add(-time.Hour))
	}
	_, err := h.syncer.Sync(t.Context(), vip, fileOf(t, h.syncer, "bob", "ann"), audiencesync.Mirror, 1)
	require.NoError(t, err)
	assert.ElementsMatch(t, []string{"ann", "bob"}, h.members())
}
