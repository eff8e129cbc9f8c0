package ingest

import (
	"net/http"
	"net/netip"
	"sync"
)

// addressCounter limits concurrent operations per client address. It is safe for concurrent use.
type addressCounter struct {
	limit int

	mu    sync.Mutex
	count map[netip.Prefix]int
}

func newAddressCounter(limit int) *addressCounter {
	return &addressCounter{limit: limit, count: map[netip.Prefix]int{}}
}

// acquire starts an operation for an address, and reports whether the limit allows it. If it returns true, the caller must call release.
func (p *addressCounter) acquire(at netip.Prefix) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.count[at] >= p.limit {
		return false
	}
	p.count[at]++
	return true
}

// release ends an operation of an address.
func (p *addressCounter) release(at netip.Prefix) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.count[at]--; p.count[at] <= 0 {
		delete(p.count, at)
	}
}

// remoteAddr returns the address of a request's connection.
func remoteAddr(r *http.Request) netip.Addr {
	at, _ := netip.ParseAddrPort(r.RemoteAddr)
	return at.Addr()
}
