package ballast_test

import (
	"runtime"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/landfall-dev/landfall/framework/runtime/ballast"
)

func TestReserveMakesCollectionsRare(t *testing.T) {
	collected := func() uint32 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range 40 << 10 { // 40 MB of garbage
			garbage = make([]byte, 1<<10)
		}
		runtime.ReadMemStats(&after)
		return after.NumGC - before.NumGC
	}
	often := uint32(3)
	for _, chosen := range []string{"GOMEMLIMIT", "GOGC"} { // the operator's policy holds
		t.Setenv("GOMEMLIMIT", "")
		t.Setenv("GOGC", "")
		t.Setenv(chosen, "off")
		ballast.Reserve(ballast.DefaultSize)
		often = min(often, collected())
	}
	t.Setenv("GOGC", "")
	ballast.Reserve(ballast.DefaultSize)
	runtime.GC()
	assert.Less(t, collected(), often)
}

var garbage []byte
