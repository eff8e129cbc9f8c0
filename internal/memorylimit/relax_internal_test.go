package memorylimit

import (
	"math"
	"runtime"
	"runtime/debug"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// waitForFreeMemory waits until the heap and the stacks that earlier tests have used are free, because Go computes from those of its last
// collection when it collects again.
func waitForFreeMemory(t *testing.T) {
	t.Helper()
	require.Eventually(t, func() bool {
		runtime.GC()
		return readMetric("/gc/heap/live:bytes") < 8<<20 && readMetric("/gc/scan/stack:bytes") < 1<<20
	}, time.Minute, time.Millisecond)
}

// TestPercentFor checks when a heap is collected, by the memory in use.
func TestPercentFor(t *testing.T) {
	const mb = 1 << 20
	for _, c := range []struct {
		live, roots, heap uint64
		percent           int
		collected         uint64 // in MB
	}{
		{40 * mb, 0, 512 * mb, 1180, 512},
		{128 * mb, 0, 512 * mb, 300, 512},
		{255 * mb, 0, 512 * mb, 100, 510},
		{256 * mb, 0, 512 * mb, 100, 512},
		{900 * mb, 0, 512 * mb, 100, 1800},
		{40 * mb, 0, 64 * mb, 100, 80}, // a container of 256 MB
		{30 * mb, 0, 64 * mb, 113, 63},
		{10 * mb, 0, 512 * mb, mostPercent, 170},
		{0, 0, 512 * mb, mostPercent, 0},
		{math.MaxInt64, 0, 512 * mb, 100, 0},
		{20 * mb, 2 * mb, 512 * mb, mostPercent, 372},
		{20 * mb, 100 * mb, 512 * mb, 410, 512}, // ten thousand connections
		{250 * mb, 100 * mb, 512 * mb, 100, 600},
		{511 * mb, 0, 512 * mb, 100, 1022},
		{512 * mb, math.MaxInt64, 512 * mb, 100, 0},
	} {
		percent := percentFor(c.live, c.roots, c.heap)
		assert.Equal(t, c.percent, percent, "%+v", c)
		if c.collected > 0 {
			assert.Equal(t, c.collected, (c.live+(c.live+c.roots)*uint64(percent)/100)/mb, "%+v", c)
		}
	}
}

// TestCollectionsBecomeFewer checks that garbage that Go collects otherwise is not collected.
func TestCollectionsBecomeFewer(t *testing.T) {
	t.Setenv("GOGC", "")
	defer debug.SetGCPercent(debug.SetGCPercent(usualPercent))
	waitForFreeMemory(t)
	assert.Positive(t, countCollections())
	stop := Limit{8 << 30, FromMachine}.RelaxCollections()
	assert.Zero(t, countCollections())
	stop()
	assert.EqualValues(t, usualPercent, readMetric("/gc/gogc:percent"), "the default is restored")
	assert.Positive(t, countCollections())
}

// countCollections returns how often Go collects garbage while 40 MB of it are made.
func countCollections() uint64 {
	runtime.GC()
	before := readMetric("/gc/cycles/automatic:gc-cycles")
	for range 40 {
		runtime.KeepAlive(make([]byte, 1<<20))
	}
	runtime.GC() // waits for one that has begun
	return readMetric("/gc/cycles/automatic:gc-cycles") - before
}

// TestCollectionsFollowTheHeap checks that GOGC changes with the memory in use, until it is stopped.
func TestCollectionsFollowTheHeap(t *testing.T) {
	t.Setenv("GOGC", "")
	defer debug.SetGCPercent(debug.SetGCPercent(usualPercent))
	waitForFreeMemory(t)
	stop := Limit{256 << 20, FromContainer}.RelaxCollections()
	isRelaxed := func() bool {
		runtime.GC()
		return readMetric("/gc/gogc:percent") > 2*usualPercent
	}
	assert.Eventually(t, isRelaxed, time.Minute, time.Millisecond)
	used := make([]byte, 48<<20) // is not touched, and takes no memory
	assert.Eventually(t, func() bool { return !isRelaxed() }, time.Minute, time.Millisecond, "three quarters of the size are in use")
	runtime.KeepAlive(used)
	assert.Eventually(t, isRelaxed, time.Minute, time.Millisecond, "they are free again")
	stop()
	assert.False(t, isRelaxed())
}

// TestStacksDoNotEnlargeTheHeap checks that the stacks of many goroutines, of which Go lets the heap grow by GOGC percent, do not let it outgrow the size.
func TestStacksDoNotEnlargeTheHeap(t *testing.T) {
	t.Setenv("GOGC", "")
	defer debug.SetGCPercent(debug.SetGCPercent(usualPercent))
	waitForFreeMemory(t)
	var started, ended sync.WaitGroup
	end := make(chan struct{})
	for range 2000 {
		started.Add(1)
		ended.Go(func() {
			waitWithStack(31, func() { started.Done(); <-end })
		})
	}
	started.Wait()
	runtime.GC()
	stop := Limit{8 << 30, FromMachine}.RelaxCollections()
	assert.Greater(t, readMetric("/gc/gogc:percent"), uint64(usualPercent))
	assert.Less(t, readMetric("/gc/heap/goal:bytes"), uint64(maxRelaxed*11/10))
	stop()
	close(end)
	ended.Wait()
}

// waitWithStack calls wait with n more KB on the stack.
func waitWithStack(n int, wait func()) (sum int) {
	var used [128]int
	if used[n] = n; n == 0 {
		wait()
	} else {
		used[0] = waitWithStack(n-1, wait)
	}
	return used[n] + used[0]
}

// TestCollectionsOfTheOperator checks that a GOGC that was chosen is kept.
func TestCollectionsOfTheOperator(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(usualPercent))
	t.Setenv("GOGC", "100")
	Limit{8 << 30, FromMachine}.RelaxCollections()()
	assert.EqualValues(t, usualPercent, readMetric("/gc/gogc:percent"), "by the environment")

	t.Setenv("GOGC", "")
	Limit{0, FromMachine}.RelaxCollections()
	assert.EqualValues(t, usualPercent, readMetric("/gc/gogc:percent"), "the limit is not known")
	debug.SetGCPercent(50)
	Limit{8 << 30, FromMachine}.RelaxCollections()
	assert.EqualValues(t, 50, readMetric("/gc/gogc:percent"), "by the program")
}
