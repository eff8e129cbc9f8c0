package logfiles

import (
	"bytes"
	"encoding/binary"
)

// damagedSpan is a part of a block without an intact record.
type damagedSpan struct {
	from, to  int
	torn      bool   // the end of an interrupted write, which was never acknowledged
	seq       uint64 // of the damaged message; 0 if unknown
	tombstone uint64 // the sequence deleted by the record after the span; 0 if it deletes none
	after     int    // number of intact records before the span
}

// blockContent is what a block holds.
type blockContent struct {
	records      []record
	damagedSpans []damagedSpan
	repaired     int // records with repaired lengths
}

// isDamaged reports whether the block has damage other than an interrupted write.
func (c *blockContent) isDamaged() bool {
	for _, s := range c.damagedSpans {
		if !s.torn {
			return true
		}
	}
	return c.repaired > 0
}

// lastSeq returns the highest sequence of the block's messages, 0 if it has none.
func (c *blockContent) lastSeq() (seq uint64) {
	for i := range c.records {
		if r := &c.records[i]; !r.tombstone {
			seq = max(seq, r.seq)
		}
	}
	return seq
}

// scanBlock scans a block. before is the last sequence before it, 0 if unknown. newest is true for the newest block, whose end may be
// an interrupted write.
func (d *decoder) scanBlock(buf []byte, before uint64, newest bool) *blockContent {
	c := &blockContent{}
	last := before
	for at := 0; at < len(buf); {
		r := d.decodeRecord(buf[at:], lengthAt(buf[at:]))
		if r == nil {
			var s damagedSpan
			if r, s = d.findNextRecord(buf, at, last); r == nil || s.to > s.from {
				s.after = len(c.records)
				s.torn = r == nil && newest && isTorn(buf[at:], last)
				if r != nil && r.tombstone {
					s.tombstone = r.seq
				}
				c.damagedSpans = append(c.damagedSpans, s)
			}
			if r == nil {
				return c
			}
			at = s.to
		}
		if r.repaired {
			c.repaired++
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

// findNextRecord finds the next intact record after a damaged one. If only the length is damaged, that is the record itself.
func (d *decoder) findNextRecord(buf []byte, at int, last uint64) (*record, damagedSpan) {
	s := damagedSpan{from: at, to: len(buf), seq: plausibleSeq(buf[at:], last)}
	if r := d.decodeRecord(buf[at:], len(buf)-at); r != nil && s.seq > 0 {
		s.to = at
		return r, s
	}
	for next := at + 1; next+headSize+sumSize <= len(buf); next++ {
		size := lengthAt(buf[next:])
		if size < headSize+sumSize || size > len(buf)-next || !canFollow(buf[next:], last) {
			continue
		}
		r := d.decodeRecord(buf[next:], size)
		if r == nil {
			continue
		}
		if whole := d.decodeRecord(buf[at:], next-at); whole != nil {
			s.to = at
			return whole, s
		}
		s.to = next
		return r, s
	}
	return nil, s
}

// canFollow reports whether the sequence of a record can come after last.
func canFollow(buf []byte, last uint64) bool {
	seq := binary.LittleEndian.Uint64(buf[4:])
	if seq&tombstoneBit != 0 {
		return seq&^(tombstoneBit|erasedBit) < 1<<48
	}
	seq &^= erasedBit
	return seq < 1<<48 && (seq > last || seq == 0)
}

// plausibleSeq returns the sequence of a damaged record if it is plausible, otherwise 0.
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

// isTorn reports whether the end of the newest block looks like an interrupted write: an incomplete record, or one with sectors
// of zeros.
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
