package ingest

import "sync/atomic"

// anonymousShare is the part of the memory budget, as a divisor, that requests may hold before their write key is known.
const anonymousShare = 4

// memory is the budget of bytes that all requests in progress may hold together. It is safe for concurrent use.
type memory struct {
	most            int64
	used, anonymous atomic.Int64
}

// grant is what one request holds of the memory budget. It belongs to one goroutine.
type grant struct {
	of        *memory
	held      int64
	anonymous bool // the write key is not known yet
}

// grow reserves n more bytes and reports whether the budget has them. A negative n gives bytes back.
func (g *grant) grow(n int64) bool {
	if g.of.used.Add(n) > g.of.most && n > 0 {
		g.of.used.Add(-n)
		return false
	}
	if g.anonymous && g.of.anonymous.Add(n) > g.of.most/anonymousShare && n > 0 {
		g.of.anonymous.Add(-n)
		g.of.used.Add(-n)
		return false
	}
	g.held += n
	return true
}

// most is what one request may hold.
func (g *grant) most() int64 {
	if g.anonymous {
		return g.of.most / anonymousShare
	}
	return g.of.most
}

// identify moves what the request holds out of the anonymous share.
func (g *grant) identify() {
	if g.anonymous {
		g.of.anonymous.Add(-g.held)
		g.anonymous = false
	}
}

// release gives everything back.
func (g *grant) release() {
	g.grow(-g.held)
}
