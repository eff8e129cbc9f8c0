package dispatch

// LimitHashes lets the hashes of keys have n values, so that many keys have the same.
func (d *Dispatcher[T]) LimitHashes(n uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	hash := d.hash
	d.hash = func(key string) uint64 { return hash(key) % n }
	d.home.chains.hash = d.hash
}
