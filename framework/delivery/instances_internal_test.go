package delivery

import (
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// randomProgress returns a checkpoint with a random progress from a page on: finished pages and pages of which some events are finished, all before end.
func randomProgress(random *rand.Rand, low, end uint64) checkpoint {
	cp := checkpoint{Low: low, Counts: map[string]int64{countDelivered: 1}}
	for seq := low + 1; seq < end; seq++ {
		switch random.IntN(4) {
		case 0:
			cp.Done = append(cp.Done, [2]uint64{seq, seq})
		case 1:
			cp.setPartial(fmt.Sprint(seq), base64.RawStdEncoding.EncodeToString([]byte{byte(1 + random.IntN(7))}))
		case 2:
			last := min(seq+uint64(random.IntN(3)), end-1)
			cp.Done = append(cp.Done, [2]uint64{seq, last})
			seq = last
		}
	}
	return cp
}

// TestRenamedInstancesLoseNoEvent checks that an instance which is renamed delivers what was waiting for its old name, and repeats nothing: up to the page
// at which the new name began, the old progress holds, and from there on the new one.
func TestRenamedInstancesLoseNoEvent(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 7))
	const last = 30
	for range 300 {
		began := 2 + uint64(random.IntN(20))
		old := randomProgress(random, 1+uint64(random.IntN(int(began)-1)), began)
		if random.IntN(2) == 0 && old.Low < began-1 { // the old one had finished pages that the new one has processed as well
			old.Done = append(old.Done, [2]uint64{began - 1, began + 3})
		}
		renamed := randomProgress(random, began+uint64(random.IntN(5)), last)
		renamed.Start = began
		merged, changed, err := mergeCheckpoints(old, renamed, true)
		require.NoError(t, err)
		require.True(t, changed)
		for seq := uint64(1); seq <= last; seq++ {
			of := old
			if seq >= began {
				of = renamed
			}
			wantAll, wantBits := of.finishedEvents(seq)
			all, bits := merged.finishedEvents(seq)
			require.Equal(t, []any{wantAll, wantBits}, []any{all, bits}, "page %d of %+v and %+v, which began at %d", seq, old, renamed, began)
		}
		again, changed, err := mergeCheckpoints(old, merged, true)
		require.NoError(t, err)
		assert.False(t, changed, "it can be repeated after a crash")
		assert.Equal(t, merged, again)
	}
}

// TestCheckpointsOfRenamedInstances checks what does not depend on the progress: which instance goes on, and when this cannot be known.
func TestCheckpointsOfRenamedInstances(t *testing.T) {
	counts := map[string]int64{countDelivered: 3}
	for name, c := range map[string]struct {
		old, renamed, want checkpoint
		exists, changed    bool
		err                error
	}{
		"the new name is unused":         {old: checkpoint{Owner: "a", Low: 7, Start: 2, DedupeFrom: 5}, want: checkpoint{Low: 7, Start: 2, DedupeFrom: 5}, changed: true},
		"the old one has no start":       {old: checkpoint{Owner: "a", Low: 7}, want: checkpoint{Low: 7, Start: 7}, changed: true},
		"nothing waits":                  {old: checkpoint{Low: 7}, renamed: checkpoint{Low: 9, Start: 7}, exists: true, want: checkpoint{Low: 9, Start: 7}},
		"one page waits":                 {old: checkpoint{Low: 7, Start: 3, DedupeFrom: 4}, renamed: checkpoint{Owner: "b", Low: 8, Start: 8, Counts: counts}, exists: true, want: checkpoint{Low: 7, Start: 3, DedupeFrom: 4, Counts: counts}, changed: true},
		"the new one has finished pages": {old: checkpoint{Low: 7}, renamed: checkpoint{Low: 9, Start: 8, Counts: counts}, exists: true, want: checkpoint{Low: 7, Start: 7, Done: [][2]uint64{{8, 8}}, Counts: counts}, changed: true},
		"the new one has done nothing":   {old: checkpoint{Low: 7}, renamed: checkpoint{Low: 9}, exists: true, want: checkpoint{Low: 7, Start: 7}, changed: true},
		"its start is not known":         {old: checkpoint{Low: 7}, renamed: checkpoint{Low: 9, Counts: counts}, exists: true, err: ErrUnknownStart},
		"its start does not matter":      {old: checkpoint{Low: 9}, renamed: checkpoint{Low: 9, Counts: counts}, exists: true, want: checkpoint{Low: 9, Counts: counts}},
	} {
		merged, changed, err := mergeCheckpoints(c.old, c.renamed, c.exists)
		require.ErrorIs(t, err, c.err, name)
		assert.Equal(t, c.want, merged, name)
		assert.Equal(t, c.changed, changed, name)
	}
}

// TestSourcesOfRenamedInstances checks which sources the checkpoint of a renamed instance says it reads, so that those which the next owner
// does not read count as removed, and from which page on others were removed.
func TestSourcesOfRenamedInstances(t *testing.T) {
	type pages = map[string]uint64
	for _, c := range []struct {
		old, renamed, sources      []string
		oldRemoved, renamedRemoved pages
		removed                    pages
	}{
		{[]string{"web"}, []string{"web"}, []string{"web"}, nil, nil, nil},
		{[]string{"web", "app"}, []string{"app", "tv"}, []string{"app", "tv", "web"}, pages{"a": 3}, nil, pages{"a": 3}},
		{[]string{"web"}, nil, nil, nil, pages{"b": 12}, pages{"b": 12}},
		{nil, []string{"web"}, nil, pages{"a": 3, "b": 4}, pages{"b": 12}, pages{"a": 3, "b": 12}},
	} {
		old, renamed := checkpoint{Low: 7, Sources: c.old, Removed: c.oldRemoved}, checkpoint{Low: 12, Start: 10, Sources: c.renamed, Removed: c.renamedRemoved}
		merged, changed, err := mergeCheckpoints(old, renamed, true)
		require.NoError(t, err)
		assert.True(t, changed)
		assert.Equal(t, []any{c.sources, c.removed}, []any{merged.Sources, merged.Removed})
	}
}
