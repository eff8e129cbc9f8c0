package event

import (
	"slices"
	"sync"
	"sync/atomic"
)

const (
	learnAfter    = 8    // texts without a known outline after which a scanner learns the outline of the last one
	maxLearnAfter = 4096 // the same if learned outlines turn out to be useless
	maxOutlines   = 128  // in outlines: of events as clients send them, and as they are stored
)

// learner decides which outlines a scanner learns.
type learner struct {
	last     *outline // that was learned
	hits     int      // texts with it
	misses   int      // texts since then without a known outline
	patience int      // misses after which the scanner learns
}

// hit records that a text had a known outline.
func (l *learner) hit(o *outline) {
	if !o.used.Load() { // otherwise all cores would write to the same memory
		o.used.Store(true)
	}
	if o != l.last {
		return
	}
	if l.hits++; l.hits == learnAfter {
		l.patience = learnAfter
	}
}

// shouldLearn records a text without a known outline, and reports whether its outline should be learned. If texts rarely have the outline that was
// learned before, a scanner learns rarely.
func (l *learner) shouldLearn() bool {
	if l.misses++; l.misses < max(l.patience, learnAfter) {
		return false
	}
	l.patience = min(2*max(l.patience, learnAfter), maxLearnAfter)
	l.hits, l.misses = 0, 0
	return true
}

// outlines holds the outlines that scanners expect. It is safe for concurrent use.
type outlines struct {
	start atomic.Pointer[expectedGap] // followed by the first gaps of the outlines; nil if there are none
	mu    sync.Mutex
	known []*outline
}

// learned holds the outlines that all scanners expect.
var learned outlines

// learn returns the outline of a text, which is valid and pure ASCII, and expects it from now on; nil if the text should have no outline.
func (l *outlines) learn(text string) *outline {
	nodes, err := fullScan(text)
	if err != nil {
		return nil
	}
	o := outlineOf(&document{text: text, outline: &outline{longNodes: nodes}})
	if o == nil {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if at := slices.IndexFunc(l.known, func(k *outline) bool { return slices.Equal(k.gaps, o.gaps) }); at >= 0 {
		return l.known[at] // another scanner has learned it
	}
	start := l.start.Load()
	if start == nil || len(l.known) == maxOutlines {
		start = &expectedGap{}
		l.dropUnused()
		for _, k := range l.known {
			start = start.with(k, 0)
		}
	}
	l.known = append(l.known, o)
	l.start.Store(start.with(o, 0))
	return o
}

// dropUnused keeps the outlines that were used since the last time; none if that is all of them.
func (l *outlines) dropUnused() {
	all := len(l.known)
	l.known = slices.DeleteFunc(l.known, func(o *outline) bool { return !o.used.Swap(false) })
	if len(l.known) == all {
		l.known = nil
	}
}
