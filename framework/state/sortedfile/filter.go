package sortedfile

import (
	"math/bits"

	"github.com/cespare/xxhash/v2"
)

// The filter is one Bloom filter for each part of the file of about partRows rows. A part's filter consists of lines of 64 bytes, a cache line. A key sets
// filterProbes bits of one line. Since keys are looked up in order, the lines of successive keys are near each other.
const (
	partRows     = 32 << 10 // after which a part ends with the current block
	lineSize     = 64       // bytes of a line
	lineRows     = 51       // keys of a line, on average: 10 bits a key
	filterProbes = 6
)

// hashKey returns the hash of a key. It is part of the format.
func hashKey(key string) uint64 { return xxhash.Sum64String(key) }

// filterLines returns how many lines the filter of a number of keys has.
func filterLines(keys int) int { return (keys + lineRows - 1) / lineRows }

// probes returns the line of a hash among n lines, and the bits that select the bits of the line.
func probes(hash uint64, lines int) (line int, selection uint64) {
	high, low := bits.Mul64(hash, uint64(lines))
	return int(high), low*0x9E3779B97F4A7C15 ^ hash
}

// addToFilter sets the bits of a key.
func addToFilter(filter []byte, hash uint64) {
	line, selection := probes(hash, len(filter)/lineSize)
	l := filter[line*lineSize:][:lineSize]
	for range filterProbes {
		l[selection>>58] |= 1 << (selection >> 55 & 7)
		selection <<= 9
	}
}

// mayContain reports whether the bits of a key are set.
func mayContain(filter []byte, hash uint64) bool {
	line, selection := probes(hash, len(filter)/lineSize)
	l := filter[line*lineSize:][:lineSize]
	for range filterProbes {
		if l[selection>>58]>>(selection>>55&7)&1 == 0 {
			return false
		}
		selection <<= 9
	}
	return true
}
