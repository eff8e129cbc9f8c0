package ingest

import (
	"math/bits"

	"github.com/landfall-dev/landfall/internal/pool"
)

// bufferPool holds buffers of bodies: firstBuffer bytes, twice that, and so on. It is safe for concurrent use.
type bufferPool [8]pool.Slice[byte]

// roundUp returns the size of the smallest buffers that are kept and have a size, or the size itself if there are none.
func roundUp(size int) int {
	kept := firstBuffer << bits.Len(uint((size-1)/firstBuffer))
	if kept > firstBuffer<<(len(bufferPool{})-1) {
		return size
	}
	return kept
}

// get returns an empty buffer with a capacity.
func (p *bufferPool) get(size int) []byte {
	if i := p.find(size); i >= 0 {
		return p[i].Get(size)[:0]
	}
	return make([]byte, 0, size)
}

// put keeps a buffer for get, if it has one of the sizes. The caller must not use it afterwards.
func (p *bufferPool) put(b []byte) {
	if i := p.find(cap(b)); i >= 0 {
		p[i].Put(b[:cap(b)])
	}
}

// find returns the index of the buffers of a size, or -1 if these are not kept.
func (p *bufferPool) find(size int) int {
	i := bits.Len(uint(size/firstBuffer)) - 1
	if i < 0 || i >= len(p) || size != firstBuffer<<i {
		return -1
	}
	return i
}
