// Package pool reuses slices between batches, so that each batch allocates less. It knows nothing of events or destinations. A
// Slice is safe for concurrent use.
package pool

import "sync"

// Slice is a pool of slices of T. The zero Slice is empty and ready to use. It is safe for concurrent use.
type Slice[T any] struct{ kept sync.Pool }

// Get returns a slice of n zero values. The caller may return it with Put; otherwise it is garbage collected.
func (p *Slice[T]) Get(n int) []T {
	if kept, _ := p.kept.Get().(*[]T); kept != nil && cap(*kept) >= n {
		return (*kept)[:n]
	}
	return make([]T, n)
}

// Put clears a slice and returns it to the pool. s must have the length with which Get returned it, and the caller must not use it
// afterwards.
func (p *Slice[T]) Put(s []T) {
	clear(s)
	s = s[:0]
	p.kept.Put(&s)
}
