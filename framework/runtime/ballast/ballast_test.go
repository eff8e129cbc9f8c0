package ballast_test

import (
	"runtime"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/landfall-dev/landfall/framework/runtime/ballast"
)

func TestReserveMakesCollectionsRare(t *testing.T) {
	t.Setenv("GOMEMLIMIT", "")
	t.Setenv("GOGC", "")
	collected := func() uint32 {
		var before, after runtime.MemStats
		runtime.GC() // so that the next collection depends on the heap as it is now
		runtime.ReadMemStats(&before)
		for range 40 << 10 { // 40 MB of garbage
			garbage = make([]byte, 1<<10)
		}
		runtime.ReadMemStats(&after)
		return after.NumGC - before.NumGC
	}
	ballast.Reserve(0) // an earlier run of this test in the process has a reserve
	often := collected()
	for _, chosen := range []string{"GOMEMLIMIT", "GOGC"} { // the operator's policy holds
		t.Setenv(chosen, "off")
		ballast.Reserve(ballast.DefaultSize)
		often = min(often, collected())
		t.Setenv(chosen, "")
	}
	ballast.Reserve(ballast.DefaultSize)
	assert.Less(t, collected(), often)
}

var garbage []byte
