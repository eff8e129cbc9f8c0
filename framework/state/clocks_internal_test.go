package state

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/internal/testsize"
)

// TestWrongClocksLockNoMember checks random histories whose times are past, equal, missing or far ahead, with merges into files and restarts
// in between. No member, in tables or in files, may have a time so far ahead that a later event does not change it.
func TestWrongClocksLockNoMember(t *testing.T) {
	for seed := range uint64(testsize.Of(4, 1)) {
		random := rand.New(rand.NewPCG(seed, 1))
		dir, members := t.TempDir(), users(12)
		s := fileStore(t, dir)
		for range 40 {
			changes := randomChanges(random, members)
			require.NoError(t, s.Ledger("main").Record(t.Context(), destination.Audience{ID: "vip"}, changes))
			if random.IntN(3) == 0 {
				settleAll(t, s, "vip")
			}
			if random.IntN(8) == 0 {
				require.NoError(t, s.Close())
				s = fileStore(t, dir)
			}
			requireChangeable(t, s, members)
		}
		settleAll(t, s, "vip")
		require.NotEmpty(t, filesIn(t, dir))
		requireChangeable(t, s, members)
		require.NoError(t, s.Close())
	}
}

// randomChanges returns changes of some members, with times of clocks that are right and wrong.
func randomChanges(random *rand.Rand, members []string) (changes []destination.Change) {
	now := time.Now().Truncate(time.Microsecond)
	times := []time.Time{now, now.Add(-time.Hour), now.Add(30 * time.Second), now.Add(2 * time.Hour), now.AddDate(73, 0, 0), {}, time.Unix(0, 0), time.Unix(1e9, 0)}
	for _, i := range random.Perm(len(members))[:1+random.IntN(4)] {
		changes = append(changes, destination.Change{Identity: members[i], Member: random.IntN(2) == 0, At: times[random.IntN(len(times))]})
	}
	return changes
}

// requireChangeable checks that an event two minutes from now would be the latest of each member, however its state is read.
func requireChangeable(t *testing.T, s *Store, members []string) {
	t.Helper()
	l, limit := s.Ledger("main"), time.Now().Add(2*time.Minute)
	for _, name := range members {
		m, _, _, err := l.Find(t.Context(), "vip", name)
		require.NoError(t, err)
		require.True(t, m.At.Before(limit), "%s at %s", name, m.At)
	}
	require.NoError(t, l.Each(t.Context(), "vip", "", func(m Membership) error {
		require.True(t, m.At.Before(limit), "%s at %s", m.Identity, m.At)
		return nil
	}))
	records, err := l.Lookup(t.Context(), "vip", members)
	require.NoError(t, err)
	for i, r := range records {
		require.True(t, r.At.Before(limit), "%s at %s", members[i], r.At)
	}
}
