package room_test

import (
	"runtime"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/landfall-dev/landfall/framework/room"
)

func TestRoomIsClearAndLargeEnough(t *testing.T) {
	var r room.Of[string]
	for _, n := range []int{3, 1, 3, 0, 7, 2} {
		s := r.Take(n)
		assert.Equal(t, make([]string, n), s)
		for i := range s {
			s[i] = "used"
		}
		r.Give(s)
	}
}

func TestHeapIsCollectedLessOften(t *testing.T) {
	collected := func() uint32 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range 40 << 10 { // 40 MB of garbage
			garbage = make([]byte, 1<<10)
		}
		runtime.ReadMemStats(&after)
		return after.NumGC - before.NumGC
	}
	t.Setenv("GOMEMLIMIT", "off")
	room.Heap(room.LeastHeap)
	often := collected()
	t.Setenv("GOMEMLIMIT", "")
	t.Setenv("GOGC", "")
	room.Heap(room.LeastHeap)
	runtime.GC()
	assert.Less(t, collected(), min(often, 3))
}

var garbage []byte
