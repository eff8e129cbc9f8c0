package ballast_test

import (
	"runtime"
	"runtime/debug"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/landfall-dev/landfall/framework/runtime/ballast"
)

// TestReserveMakesCollectionsRare checks how large the heap becomes before the next collection, and that the operator's policy holds.
func TestReserveMakesCollectionsRare(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(100))
	t.Setenv("GOMEMLIMIT", "")
	t.Setenv("GOGC", "")
	ballast.Reserve(0)
	reserved := func() bool {
		ballast.Reserve(ballast.DefaultSize)
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.NextGC > 2*ballast.DefaultSize
	}
	for _, chosen := range []string{"GOMEMLIMIT", "GOGC"} {
		t.Setenv(chosen, "off")
		assert.False(t, reserved(), chosen)
		t.Setenv(chosen, "")
	}
	assert.True(t, reserved())
}
