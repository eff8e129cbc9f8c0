package pool_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/landfall-dev/landfall/internal/pool"
)

func TestSlicesAreZeroedAndLargeEnough(t *testing.T) {
	var r pool.Slice[string]
	for _, n := range []int{3, 1, 3, 0, 7, 2} {
		s := r.Get(n)
		assert.Equal(t, make([]string, n), s)
		for i := range s {
			s[i] = "used"
		}
		r.Put(s)
	}
}

func TestSlicesAreUsedAgain(t *testing.T) {
	var r pool.Slice[int]
	for range 100 { // the race detector and the garbage collector drop some
		large := r.Get(8)
		first := &large[0]
		r.Put(large)
		if small := r.Get(3); first == &small[0] {
			return
		}
	}
	t.Error("each slice was allocated")
}
