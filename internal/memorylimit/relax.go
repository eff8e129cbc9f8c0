package memorylimit

import (
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync"
)

const (
	// A heap smaller than maxRelaxed, and than a quarter of the limit, need not be collected.
	maxRelaxed   = 192 << 20
	relaxedShare = 4

	usualPercent = 100  // of GOGC: Go collects a heap that has doubled
	mostPercent  = 1600 // the most that is set, because the memory in use can grow before the next collection
)

// RelaxCollections makes Go collect garbage less often while the heap is small compared with the limit: a heap of less than a quarter of
// the limit, at most 192 MB, is not collected, even if it has doubled. After each collection it sets GOGC by the memory that is in use. It
// does nothing if the limit is not known, or if the environment or the program has set GOGC. The caller calls stop, which restores Go's
// default.
func (l Limit) RelaxCollections() (stop func()) {
	if l.Bytes <= 0 || os.Getenv("GOGC") != "" || readMetric("/gc/gogc:percent") != usualPercent {
		return func() {}
	}
	p := &pacer{heap: uint64(min(l.Bytes/relaxedShare, maxRelaxed)), percent: usualPercent}
	p.adapt()
	p.watch()
	return p.stop
}

// pacer sets GOGC after each collection. It is safe for concurrent use.
type pacer struct {
	heap uint64 // the size up to which the heap need not be collected

	mu      sync.Mutex
	percent int // that is set
	stopped bool
}

// watch adapts GOGC after the next collection, and so on.
func (p *pacer) watch() {
	garbage := &struct{ p *pacer }{} // has a pointer, since small objects without pointers share memory
	runtime.AddCleanup(garbage, func(p *pacer) {
		if p.adapt() {
			p.watch()
		}
	}, p)
}

// adapt sets GOGC by the memory that is in use, if that makes more than a small difference, because the world stops for it. It returns false
// once p is stopped.
func (p *pacer) adapt() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopped {
		return false
	}
	roots := readMetric("/gc/scan/stack:bytes") + readMetric("/gc/scan/globals:bytes")
	percent := percentFor(readMetric("/gc/heap/live:bytes"), roots, p.heap)
	if difference := math.Abs(float64(percent - p.percent)); difference > 0.1*float64(p.percent) {
		debug.SetGCPercent(percent)
		p.percent = percent
	}
	return true
}

// stop restores Go's default.
func (p *pacer) stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stopped = true
	debug.SetGCPercent(usualPercent)
}

// percentFor returns the GOGC with which a heap is collected when it has doubled, but not before it has reached a size. live is the part of
// it that is in use. roots are the stacks and global variables: Go lets the heap grow by GOGC percent of them, too.
func percentFor(live, roots, heap uint64) int {
	if live >= heap {
		return usualPercent
	}
	return int(min(max((heap-live)*100/max(live+roots, 1), usualPercent), mostPercent))
}

// readMetric returns a number of Go's runtime.
func readMetric(name string) uint64 {
	sample := []metrics.Sample{{Name: name}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}
