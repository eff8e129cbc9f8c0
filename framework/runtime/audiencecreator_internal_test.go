package runtime

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
)

// The external ids in memory are bounded.
func TestRememberedAudiencesAreBounded(t *testing.T) {
	a, known := &audienceCreator{}, 0
	for i := range 3 * maxKnownAudiences {
		a.remember(fmt.Sprint("key", i), "id")
		a.remember(fmt.Sprint("key", i), "newer")
		if i == maxKnownAudiences-1 {
			id, _ := a.known.Load("key0")
			assert.Equal(t, "newer", id)
		}
	}
	a.known.Range(func(any, any) bool { known++; return true })
	assert.LessOrEqual(t, known, maxKnownAudiences)
}
