package access

import (
	"container/list"
	"net/netip"
	"sync"
	"time"
)

const (
	maxWrongKeys   = 10               // wrong keys that an address may give at once
	wrongKeyPeriod = 10 * time.Second // then one more each time this has passed
	maxAddresses   = 10_000           // addresses that are remembered
)

// attempts limits wrong keys by the address that gives them. Only addresses with recent wrong keys take memory, and at most
// maxAddresses of them; the one that was quiet longest is forgotten first. It is safe for concurrent use.
type attempts struct {
	now     func() time.Time
	mu      sync.Mutex
	entries map[netip.Prefix]*list.Element // of *attempt
	recent  list.List                      // the latest in front
}

// attempt is how much an address has used: until then, the wrong keys it gave are not forgotten.
type attempt struct {
	network netip.Prefix
	until   time.Time
}

// take counts a try against an address. If too many of its tries were wrong, it returns how long to wait.
func (a *attempts) take(client netip.Addr) (wait time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.now()
	entry := a.entryLocked(networkOf(client))
	if entry.until.Before(now) {
		entry.until = now
	}
	if wait = entry.until.Add(wrongKeyPeriod).Sub(now.Add(maxWrongKeys * wrongKeyPeriod)); wait > 0 {
		return wait
	}
	entry.until = entry.until.Add(wrongKeyPeriod)
	return 0
}

// restore undoes a take, as the key was right.
func (a *attempts) restore(client netip.Addr) {
	a.mu.Lock()
	defer a.mu.Unlock()
	element, ok := a.entries[networkOf(client)]
	if !ok {
		return
	}
	entry := element.Value.(*attempt)
	if entry.until = entry.until.Add(-wrongKeyPeriod); !entry.until.After(a.now()) {
		a.removeLocked(element)
	}
}

// entryLocked returns the entry of a network and makes it the latest.
func (a *attempts) entryLocked(network netip.Prefix) *attempt {
	if element, ok := a.entries[network]; ok {
		a.recent.MoveToFront(element)
		return element.Value.(*attempt)
	}
	for a.recent.Len() > 0 {
		oldest := a.recent.Back()
		if len(a.entries) < maxAddresses && oldest.Value.(*attempt).until.After(a.now()) {
			break
		}
		a.removeLocked(oldest)
	}
	if a.entries == nil {
		a.entries = map[netip.Prefix]*list.Element{}
	}
	entry := &attempt{network: network}
	a.entries[network] = a.recent.PushFront(entry)
	return entry
}

func (a *attempts) removeLocked(element *list.Element) {
	delete(a.entries, element.Value.(*attempt).network)
	a.recent.Remove(element)
}

// networkOf returns what counts as one client: an IPv4 address, or the /64 that an IPv6 host chooses its addresses from.
func networkOf(client netip.Addr) netip.Prefix {
	bits := client.BitLen()
	if client.Is6() {
		bits = 64
	}
	network, err := client.Prefix(bits)
	if err != nil {
		return netip.Prefix{} // all clients without an address count as one
	}
	return network
}
