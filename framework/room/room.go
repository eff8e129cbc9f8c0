// Package room makes less work for the collector of garbage: it keeps slices to be used again, since batches come one after the
// other and need the same room each, and lets a small heap grow before it is collected.
package room

import "sync"

// Of is room for slices of T. The zero Of is empty, and ready to use. It is safe for concurrent use.
type Of[T any] struct{ kept sync.Pool }

// Take is n zero values. Whoever takes them may give them back.
func (r *Of[T]) Take(n int) []T {
	if kept, _ := r.kept.Get().(*[]T); kept != nil && cap(*kept) >= n {
		return (*kept)[:n]
	}
	return make([]T, n)
}

// Give takes back what nobody holds any more. It must be as long as it ever was: what lies in it is cleared.
func (r *Of[T]) Give(s []T) {
	clear(s)
	s = s[:0]
	r.kept.Put(&s)
}
