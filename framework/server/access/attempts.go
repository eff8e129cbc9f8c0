package access

import (
	"container/list"
	"net/netip"
	"sync"
	"time"
)

const (
	maxWrongKeys   = 10               // burst of wrong keys per address
	wrongKeyPeriod = 10 * time.Second // time after which one more wrong key is allowed
	maxAddresses   = 10_000           // limit of remembered addresses
)

// attempts limits wrong keys per client address. It remembers only addresses with recent wrong keys, and at most maxAddresses; the least
// recently used address is forgotten first. It is safe for concurrent use.
type attempts struct {
	now     func() time.Time
	mu      sync.Mutex
	entries map[netip.Prefix]*list.Element // of *attempt
	recent  list.List                      // latest first
}

// attempt records the wrong keys of a network: each one moves until further into the future, and they are forgotten at that time.
type attempt struct {
	network netip.Prefix
	until   time.Time
}

// countAttempt counts an attempt of an address. If the address has too many wrong attempts, it returns how long to wait.
func (a *attempts) countAttempt(client netip.Addr) (wait time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.now()
	entry := a.entryLocked(NetworkOf(client))
	if entry.until.Before(now) {
		entry.until = now
	}
	if wait = entry.until.Add(wrongKeyPeriod).Sub(now.Add(maxWrongKeys * wrongKeyPeriod)); wait > 0 {
		return wait
	}
	entry.until = entry.until.Add(wrongKeyPeriod)
	return 0
}

// undoAttempt undoes countAttempt after a correct key.
func (a *attempts) undoAttempt(client netip.Addr) {
	a.mu.Lock()
	defer a.mu.Unlock()
	element, ok := a.entries[NetworkOf(client)]
	if !ok {
		return
	}
	entry := element.Value.(*attempt)
	if entry.until = entry.until.Add(-wrongKeyPeriod); !entry.until.After(a.now()) {
		a.removeLocked(element)
	}
}

// entryLocked returns the entry of a network and makes it the most recent. The caller must hold a.mu.
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

// removeLocked forgets an entry. The caller must hold a.mu.
func (a *attempts) removeLocked(element *list.Element) {
	delete(a.entries, element.Value.(*attempt).network)
	a.recent.Remove(element)
}

// NetworkOf returns the network that counts as one client: an IPv4 address, or the /64 network of an IPv6 address. All clients
// without a valid address, such as those of a Unix socket, count as one.
func NetworkOf(client netip.Addr) netip.Prefix {
	client = client.Unmap()
	bits := client.BitLen()
	if client.Is6() {
		bits = 64
	}
	network, _ := client.Prefix(bits) // bits is never too large
	return network
}
