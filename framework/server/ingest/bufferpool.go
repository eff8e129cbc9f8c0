package ingest

import (
	"math/bits"

	"github.com/landfall-dev/landfall/internal/pool"
)

// bufferPool holds buffers that larger ones have replaced while a body grew: firstBuffer bytes, twice that, and so on. The last buffer of a
// body is not returned, since its events use it. It is safe for concurrent use.
type bufferPool [6]pool.Slice[byte]

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
