package state

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestScratchSortsAndMerges compares random sets, in memory and in runs on disk, with sorting in memory.
func TestScratchSortsAndMerges(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for round := range 200 {
		s, err := NewScratch(t.Context())
		require.NoError(t, err)
		s.limit = 1 + random.IntN(2000)
		var all []string
		for range random.IntN(4) {
			batch := randomIdentities(random)
			all = append(all, batch...)
			require.NoError(t, s.Add(t.Context(), batch))
		}
		want := slices.Clone(all)
		slices.Sort(want)
		want = slices.Compact(want)
		for range 2 { // a set can be read again
			assert.Equal(t, want, readScratch(t, s), "round %d", round)
			assert.Equal(t, len(all)-len(want), s.Duplicates())
		}
		require.NoError(t, s.Close())
	}
}

func randomIdentities(random *rand.Rand) (list []string) {
	prefix := []string{"", "external_id:", "device_id:\x00", "external_id:customer-0"}[random.IntN(4)]
	for range random.IntN(100) {
		list = append(list, prefix+[]string{"", "x", "é", fmt.Sprint(random.IntN(50)), fmt.Sprint(random.Int64()), "long-" + fmt.Sprint(random.IntN(1e9), random.IntN(1e9))}[random.IntN(6)])
	}
	return list
}

func readScratch(t *testing.T, s *Scratch) (list []string) {
	c, err := s.newCursor(t.Context())
	require.NoError(t, err)
	for c.ok {
		list = append(list, c.identity)
		require.NoError(t, c.advance(t.Context()))
	}
	return list
}

func TestScratchSetsAreCompared(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	for round := range 100 {
		sets, members := [2]*Scratch{}, [2]map[string]bool{{}, {}}
		for i := range sets {
			s, err := NewScratch(t.Context())
			require.NoError(t, err)
			s.limit = 1 + random.IntN(500)
			for range random.IntN(60) {
				id := fmt.Sprint("u", random.IntN(50))
				members[i][id] = true
				require.NoError(t, s.AddNoted(t.Context(), id, fmt.Sprint(i, id)))
			}
			sets[i] = s
		}
		var want, got []Pair
		for n := range 50 {
			id := fmt.Sprint("u", n)
			p := Pair{Identity: id, InA: members[0][id], InB: members[1][id]}
			if p.InA {
				p.NoteA = fmt.Sprint(0, id)
			}
			if p.InB {
				p.NoteB = fmt.Sprint(1, id)
			}
			if p.InA || p.InB {
				want = append(want, p)
			}
		}
		slices.SortFunc(want, func(a, b Pair) int { return strings.Compare(a.Identity, b.Identity) })
		require.NoError(t, CompareSets(t.Context(), sets[0], sets[1], func(p Pair) error { got = append(got, p); return nil }))
		assert.Equal(t, want, got, "round %d", round)
		for _, s := range sets {
			require.NoError(t, s.Close())
		}
		assert.ErrorIs(t, CompareSets(t.Context(), sets[0], sets[1], func(Pair) error { return nil }), errScratchClosed)
	}
}

// TestNotedIdentitiesHaveZeroBytes checks that an identity with zero bytes is not taken for another one with a note.
func TestNotedIdentitiesHaveZeroBytes(t *testing.T) {
	noted, plain := map[string]string{}, []string{}
	s, err := NewScratch(t.Context())
	require.NoError(t, err)
	defer s.Close()
	s.limit = 20
	for _, identity := range []string{"", "bob", "bob\x00", "bob\x00\x00", "bob\x00+", "bob\x01", "bob\x01\x01", "bob\x01\x02", "bob\x02", "bob0"} {
		noted[identity], plain = "+\x00\x01"+identity, append(plain, identity)
		require.NoError(t, s.AddNoted(t.Context(), identity, noted[identity]))
	}
	slices.Sort(plain)
	var got []string
	require.NoError(t, s.Each(t.Context(), func(identity, note string) error {
		assert.Equal(t, noted[identity], note, "%q", identity)
		got = append(got, identity)
		return nil
	}))
	assert.Equal(t, plain, got)
	assert.Zero(t, s.Duplicates())
}

// TestScratchErrors checks that a set that is incomplete cannot be read: members would seem to be missing.
func TestScratchErrors(t *testing.T) {
	filled := func() *Scratch {
		s, err := NewScratch(t.Context())
		require.NoError(t, err)
		t.Cleanup(func() { _ = s.Close() })
		s.limit = 1
		require.NoError(t, s.Add(t.Context(), []string{"u1", "u2"}))
		return s
	}
	s := filled()
	require.NoError(t, s.file.Close())
	require.ErrorContains(t, s.Add(t.Context(), []string{"u3"}), "writing the scratch file")
	_, err := s.newCursor(t.Context())
	require.ErrorContains(t, err, "reading the scratch file", "it has not taken everything")

	s = filled()
	require.NoError(t, s.file.Truncate(3))
	c, err := s.newCursor(t.Context())
	require.ErrorContains(t, err, "unexpected EOF")
	require.Nil(t, c)

	s = filled()
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, s.Add(ended, []string{"u3"}), context.Canceled)
	require.Error(t, s.Add(t.Context(), []string{"u3"}))
}

// TestScratchLeavesNoFile checks that identities cannot stay on the disk, even if the process is killed.
func TestScratchLeavesNoFile(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	s, err := NewScratch(t.Context())
	require.NoError(t, err)
	s.limit = 1
	require.NoError(t, s.Add(t.Context(), []string{"u1", "u2"}))
	require.NotEmpty(t, s.runs)
	files, err := os.ReadDir(dir)
	require.NoError(t, err)
	assert.Empty(t, files, "while the set is in use")
	assert.Equal(t, []string{"u1", "u2"}, readScratch(t, s))
	require.NoError(t, s.Close())
}
