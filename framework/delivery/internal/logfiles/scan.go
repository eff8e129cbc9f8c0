package logfiles

import (
	"bytes"
	"encoding/binary"
)

// span is a part of a block that holds no intact record.
type span struct {
	from, to  int
	torn      bool   // the end of a write that was cut off, so it was never acknowledged
	seq       uint64 // of the message that stood there, as far as that can be told; otherwise 0
	tombstone uint64 // the sequence that the record after it deletes; 0 if it does not delete one
	after     int    // how many intact records are before it
}

// content is what a block holds.
type content struct {
	records []record
	spans   []span
	fixed   int // records whose lengths were put right
}

// damaged reports whether something is wrong that is not merely a write that was cut off.
func (c *content) damaged() bool {
	for _, s := range c.spans {
		if !s.torn {
			return true
		}
	}
	return c.fixed > 0
}

// last is the highest sequence of the block's messages, 0 if it has none.
func (c *content) last() (seq uint64) {
	for i := range c.records {
		if r := &c.records[i]; !r.tombstone {
			seq = max(seq, r.seq)
		}
	}
	return seq
}

// scan reads a block. Before is the sequence of the message before it, 0 if that is not known; newest says that it is the block
// that was written last, whose end may be a write that was cut off.
func (d *decoder) scan(buf []byte, before uint64, newest bool) *content {
	c := &content{}
	last := before
	for at := 0; at < len(buf); {
		r := d.decode(buf[at:], lengthAt(buf[at:]))
		if r == nil {
			var s span
			if r, s = d.resync(buf, at, last); r == nil || s.to > s.from {
				s.after = len(c.records)
				s.torn = r == nil && newest && isTorn(buf[at:], last)
				if r != nil && r.tombstone {
					s.tombstone = r.seq
				}
				c.spans = append(c.spans, s)
			}
			if r == nil {
				return c
			}
			at = s.to
		}
		if r.fixed {
			c.fixed++
		}
		if !r.tombstone {
			last = max(last, r.seq)
		}
		c.records = append(c.records, *r)
		at += len(r.raw)
	}
	return c
}

func lengthAt(buf []byte) int {
	if len(buf) < headSize {
		return 0
	}
	return int(binary.LittleEndian.Uint32(buf) &^ headersBit)
}

// resync looks for the next intact record after a damaged one. If only the length was damaged, that is the one at this very place.
func (d *decoder) resync(buf []byte, at int, last uint64) (*record, span) {
	s := span{from: at, to: len(buf), seq: plausibleSeq(buf[at:], last)}
	if r := d.decode(buf[at:], len(buf)-at); r != nil && s.seq > 0 {
		s.to = at
		return r, s
	}
	for next := at + 1; next+headSize+sumSize <= len(buf); next++ {
		size := lengthAt(buf[next:])
		if size < headSize+sumSize || size > len(buf)-next || !mayFollow(buf[next:], last) {
			continue
		}
		r := d.decode(buf[next:], size)
		if r == nil {
			continue
		}
		if whole := d.decode(buf[at:], next-at); whole != nil {
			s.to = at
			return whole, s
		}
		s.to = next
		return r, s
	}
	return nil, s
}

// mayFollow reports whether the sequence of a record is one that may come after another.
func mayFollow(buf []byte, last uint64) bool {
	seq := binary.LittleEndian.Uint64(buf[4:])
	if seq&tombstoneBit != 0 {
		return seq&^(tombstoneBit|erasedBit) < 1<<48
	}
	seq &^= erasedBit
	return seq < 1<<48 && (seq > last || seq == 0)
}

// plausibleSeq is the sequence of a damaged record, if it may be believed.
func plausibleSeq(buf []byte, last uint64) uint64 {
	if len(buf) < headSize {
		return 0
	}
	seq := binary.LittleEndian.Uint64(buf[4:])
	if seq&(tombstoneBit|erasedBit) != 0 || seq <= last || seq >= 1<<48 || last > 0 && seq > last+1<<20 {
		return 0
	}
	return seq
}

const sector = 512

// isTorn reports whether the end of the newest block looks like a write that did not come to its end: a record that is not all
// there, or one of which sectors have not been written.
func isTorn(tail []byte, last uint64) bool {
	if len(tail) < headSize || isZero(tail) || isZero(tail[:headSize]) {
		return true
	}
	size, seq := lengthAt(tail), binary.LittleEndian.Uint64(tail[4:])
	tombstone := seq&tombstoneBit != 0
	if size < headSize+sumSize || size > maxRecord || !tombstone && last > 0 && seq != last+1 {
		return false
	}
	if size > len(tail) {
		return true
	}
	return isZero(tail[max(0, size-sector):size]) || bytes.Contains(tail[:size], make([]byte, sector))
}

func isZero(buf []byte) bool { return len(bytes.Trim(buf, "\x00")) == 0 }
