package ingest

import (
	"net/http"
	"net/netip"
	"sync"
)

// peers counts something per client address. It is safe for concurrent use.
type peers struct {
	most int

	mu    sync.Mutex
	count map[netip.Prefix]int
}

func newPeers(most int) *peers { return &peers{most: most, count: map[netip.Prefix]int{}} }

// enter counts one more for an address, unless it has the most already. The caller calls leave if it returns true.
func (p *peers) enter(at netip.Prefix) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.count[at] >= p.most {
		return false
	}
	p.count[at]++
	return true
}

func (p *peers) leave(at netip.Prefix) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.count[at]--; p.count[at] <= 0 {
		delete(p.count, at)
	}
}

// network is the unit that limits by address count: an IPv4 address, or the /64 that an IPv6 client chooses its addresses from.
// An address that is not valid, such as that of a Unix socket, is a network of its own.
func network(addr netip.Addr) netip.Prefix {
	addr = addr.Unmap().WithZone("")
	bits := addr.BitLen()
	if addr.Is6() {
		bits = 64
	}
	prefix, _ := addr.Prefix(bits)
	return prefix
}

// remoteAddr is the address that a request's connection comes from.
func remoteAddr(r *http.Request) netip.Addr {
	at, _ := netip.ParseAddrPort(r.RemoteAddr)
	return at.Addr()
}
