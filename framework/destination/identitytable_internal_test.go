package destination

import (
	"math/rand/v2"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// TestNewestChangesAreThoseOfAMap compares the table of identities with a map, for batches of different sizes whose identities repeat.
func TestNewestChangesAreThoseOfAMap(t *testing.T) {
	for seed := range uint64(200) {
		random := rand.New(rand.NewPCG(seed, 1))
		n := 1 + random.IntN(300)
		changes, newest := make([]MemberChange, n), map[string]*MemberChange{}
		b := &audienceBatch{ms: NewMultiStatus(n)}
		for i := range changes {
			c := &changes[i]
			*c = MemberChange{text: strconv.Itoa(random.IntN(1 + random.IntN(n))), index: i, At: time.Unix(int64(random.IntN(5)), 0)}
			if best := newest[c.text]; best == nil || !c.At.Before(best.At) {
				newest[c.text] = c
			}
			b.changes = append(b.changes, c)
		}
		kept := b.newestChanges()
		assert.Len(t, kept, len(newest), seed)
		for _, c := range kept {
			assert.Same(t, newest[c.text], c, seed)
		}
		for i := range changes {
			assert.Equal(t, newest[changes[i].text] != &changes[i], b.ms.Outcome(i) == Skipped, seed)
		}
	}
}
