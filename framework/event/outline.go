package event

import (
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// outline is what texts with the same keys in the same order have in common: their keys and how their containers are nested. Events of one
// origin usually share an outline. The fast scanner expects the keys of an outline instead of scanning them, and a Path finds its value
// at the same position of each index. FuzzOutline compares both with the plain code.
//
// Documents with the same outline have each object that is reached through objects only, and its members, at the same positions of
// their indexes. Kinds of scalars and the content of arrays may differ in what does not move these objects.
type outline struct {
	steps []step // in the order of the text

	longNodes []node // the index of the only document with this outline, if it needs full nodes; then there are no steps
}

// step is a key, or the end of a container.
type step struct {
	key    string // with its quotes and the colon after it; "" for the end of a container
	words  [2]uint64
	masks  [2]uint64 // of the bytes of words that belong to key
	place  uint32    // the position of a key, from placeOf, or how many containers around an end are open
	end    shortNode // of a container
	longer bool      // the key has more bytes than words
}

// placeOf returns the position of a key: how many containers are open, and how many of their keys and values come before it.
func placeOf(depth, values int) uint32 { return uint32(depth)<<16 | uint32(values) }

// keyStep returns the step of a key, which is given with its quotes.
func keyStep(quoted string, place uint32) step {
	s := step{key: quoted + ":", place: place}
	for i := range min(len(s.key), 16) {
		s.words[i/8] |= uint64(s.key[i]) << (i % 8 * 8)
		s.masks[i/8] |= 0xff << (i % 8 * 8)
	}
	s.longer = len(s.key) > 16
	return s
}

// endStep returns the step of the end of a container. Its place is that of no key, since keys are inside of a container.
func endStep(depth int, container shortNode) step {
	return step{place: uint32(depth), end: container}
}

// isKey reports whether the step's key is at pos.
func (s *step) isKey(text string, pos int) bool {
	if pos+16 > len(text) {
		return strings.HasPrefix(text[pos:], s.key)
	}
	if (loadWord(text[pos:pos+8])^s.words[0])&s.masks[0]|(loadWord(text[pos+8:pos+16])^s.words[1])&s.masks[1] != 0 {
		return false
	}
	return !s.longer || strings.HasPrefix(text[pos+16:], s.key[16:])
}

const (
	learnAfter    = 8    // texts in a row with another outline after which a scanner learns the outline of the last one
	maxLearnAfter = 4096 // the same if learned outlines turn out to be useless
	maxOutlines   = 64   // in outlines
	maxSteps      = 1000 // of an outline that is learned
)

// learner decides which outline a scanner expects.
type learner struct {
	expected *outline
	used     bool // a text had the expected outline
	misses   int  // texts since then
	patience int  // misses after which the scanner learns
}

// hit reports that a text had the expected outline.
func (l *learner) hit() { l.used, l.misses = true, 0 }

// shouldLearn reports, of a text that had another outline, whether its outline should be expected from now on. If texts rarely have the
// outlines that were learned before, a scanner learns rarely.
func (l *learner) shouldLearn() bool {
	if l.misses++; l.misses < max(l.patience, learnAfter) {
		return false
	}
	l.patience = min(2*max(l.patience, learnAfter), maxLearnAfter)
	if l.used {
		l.patience = learnAfter
	}
	l.used, l.misses = false, 0
	return true
}

// outlines holds the outlines that scanners expect, so that those with the same steps are the same outline.
var outlines struct {
	mu    sync.Mutex
	known map[string]*outline // by all keys
}

// sharedOutline returns the outline with these steps, which may be one that another scanner expects.
func sharedOutline(steps []step) *outline {
	var name strings.Builder
	for _, s := range steps {
		name.WriteString(s.key)
	}
	outlines.mu.Lock()
	defer outlines.mu.Unlock()
	if o := outlines.known[name.String()]; o != nil && slices.Equal(o.steps, steps) {
		return o
	}
	if outlines.known == nil || len(outlines.known) >= maxOutlines {
		outlines.known = map[string]*outline{}
	}
	o := &outline{steps: slices.Clone(steps)}
	outlines.known[name.String()] = o
	return o
}

// pathCache holds where a Path led in the last outline that it was read from.
type pathCache struct {
	last   atomic.Pointer[pathPlace]
	misses atomic.Uint32
}

// pathPlace is where a Path leads in documents with an outline, as far as it leads through objects.
type pathPlace struct {
	outline  *outline
	at       int // in the index; 0, which is no value, if the path leads to no member
	followed int // number of segments
}

// replaceAfter is the number of reads from other outlines after which a pathCache takes the next one.
const replaceAfter = 16

// store replaces the place if it is the first, or if many reads had another outline.
func (c *pathCache) store(p pathPlace) {
	if c.last.Load() == nil || c.misses.Add(1)%replaceAfter == 0 {
		c.last.Store(&p)
	}
}
