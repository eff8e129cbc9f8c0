package console

import (
	"sync"
	"time"
)

// ttlCache keeps values by key for a short time, since pages that refresh ask for them again and again.
type ttlCache[K comparable, V any] struct {
	mu    sync.Mutex
	known map[K]cachedValue[V]
}

type cachedValue[V any] struct {
	at    time.Time
	value V
}

// get returns the value of a key, and reads it if the cache has none or an older one than ttl. If reading fails, it returns the older one and
// the error.
func (c *ttlCache[K, V]) get(key K, ttl time.Duration, read func() (V, error)) (V, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	last, ok := c.known[key]
	if ok && time.Since(last.at) < ttl {
		return last.value, nil
	}
	value, err := read()
	if err != nil {
		return last.value, err
	}
	if c.known == nil {
		c.known = map[K]cachedValue[V]{}
	}
	c.known[key] = cachedValue[V]{time.Now(), value}
	return value, nil
}

// forget makes the next values current.
func (c *ttlCache[K, V]) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.known = nil
}
