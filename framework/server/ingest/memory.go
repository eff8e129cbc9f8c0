package ingest

import "sync/atomic"

// anonymousShare divides the memory budget: requests whose write key is not known yet can hold at most 1/anonymousShare of it.
const anonymousShare = 4

// memoryBudget limits the bytes that all requests in progress hold together. It is safe for concurrent use.
type memoryBudget struct {
	limit           int64
	used, anonymous atomic.Int64
}

// memoryGrant is the part of the memory budget that one request uses. It is not safe for concurrent use.
type memoryGrant struct {
	budget    *memoryBudget
	held      int64
	anonymous bool // the write key is not known yet
}

// reserveBytes reserves n more bytes, and reports whether the budget allows it. A negative n returns bytes.
func (g *memoryGrant) reserveBytes(n int64) bool {
	if g.budget.used.Add(n) > g.budget.limit && n > 0 {
		g.budget.used.Add(-n)
		return false
	}
	if g.anonymous && g.budget.anonymous.Add(n) > g.budget.limit/anonymousShare && n > 0 {
		g.budget.anonymous.Add(-n)
		g.budget.used.Add(-n)
		return false
	}
	g.held += n
	return true
}

// maxBytes returns the most that one request can hold.
func (g *memoryGrant) maxBytes() int64 {
	if g.anonymous {
		return g.budget.limit / anonymousShare
	}
	return g.budget.limit
}

// leaveAnonymous moves the request's bytes out of the anonymous share, when its write key is known.
func (g *memoryGrant) leaveAnonymous() {
	if g.anonymous {
		g.budget.anonymous.Add(-g.held)
		g.anonymous = false
	}
}

// releaseAll returns all bytes to the budget.
func (g *memoryGrant) releaseAll() {
	g.reserveBytes(-g.held)
}
