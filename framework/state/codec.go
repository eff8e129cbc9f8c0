package state

import (
	"database/sql"
	"encoding/binary"
	"errors"
	"math"
	"math/bits"
)

// errDamaged is returned for a row of the table doubts or unmerged that cannot be read.
var errDamaged = errors.New("a row of the table doubts or unmerged is damaged: restore the ledger from a backup")

// rowReader decodes numbers and texts, one after the other. After damaged data all are empty and damaged is set.
type rowReader struct {
	rest    string
	damaged bool
}

func (r *rowReader) uvarint() (n uint64) {
	for i := 0; i < len(r.rest) && i < binary.MaxVarintLen64; i++ {
		b := r.rest[i]
		n |= uint64(b&0x7f) << (7 * i)
		if b < 0x80 {
			r.rest = r.rest[i+1:]
			return n
		}
	}
	r.rest, r.damaged = "", true
	return 0
}

func (r *rowReader) varint() int64 {
	n := r.uvarint()
	return int64(n>>1) ^ -int64(n&1)
}

// skip reads and drops n numbers.
func (r *rowReader) skip(n int) {
	for ; n > 0; n-- {
		r.uvarint()
	}
}

func (r *rowReader) text() (text string) {
	size := r.uvarint()
	if size > uint64(len(r.rest)) {
		r.rest, r.damaged = "", true
		return ""
	}
	text, r.rest = r.rest[:size], r.rest[size:]
	return text
}

func appendText(data []byte, text string) []byte {
	return append(binary.AppendUvarint(data, uint64(len(text))), text...)
}

// compactRow is a memberRow without its identity, for the unmerged writes and for rows in memory.
type compactRow struct {
	at, delivered, confirmed, sent int64
	turns                          int32
	flags                          uint8
}

const (
	isMember = 1 << iota
	isUncertain
	hasAt
	hasDelivered
	hasConfirmed
	hasSent
	isKnown // in memory: the ledger has the identity
)

func (e *memberRow) compact() compactRow {
	c := compactRow{e.at.Int64, e.delivered.Int64, e.confirmed.Int64, e.sent.Int64, int32(min(e.turns, math.MaxInt32)), isKnown}
	for i, set := range [...]bool{e.member, e.doubt, e.at.Valid, e.delivered.Valid, e.confirmed.Valid, e.sent.Valid} {
		if set {
			c.flags |= 1 << i
		}
	}
	return c
}

// expand returns the row of an identity.
func (c *compactRow) expand(identity string) *memberRow {
	e := c.row(identity)
	return &e
}

// row is expand without an allocation.
func (c *compactRow) row(identity string) memberRow {
	number := func(n int64, flag uint8) sql.NullInt64 { return sql.NullInt64{Int64: n, Valid: c.flags&flag != 0} }
	return memberRow{
		identity: identity, member: c.flags&isMember != 0, doubt: c.flags&isUncertain != 0, turns: int64(c.turns),
		at: number(c.at, hasAt), delivered: number(c.delivered, hasDelivered), confirmed: number(c.confirmed, hasConfirmed), sent: number(c.sent, hasSent),
	}
}

// encodeRow appends a row and the history that is added to it. Times are differences, in microseconds, from the one before.
func encodeRow(data []byte, e *memberRow, before int64) []byte {
	return encodeValue(appendText(data, e.identity), e, before)
}

// encodeValue is encodeRow without the identity.
func encodeValue(data []byte, e *memberRow, before int64) []byte {
	c := e.compact()
	data, before = c.encode(data, before)
	data = binary.AppendUvarint(data, uint64(len(e.added)))
	for _, h := range e.added {
		data = binary.AppendUvarint(data, uint64(h.slot)<<1|uint64(flag(h.member).Int64))
		data = binary.AppendVarint(binary.AppendVarint(data, h.decided-before), h.at-before)
		outcome := h.outcome
		if outcome == outcomeDelivered {
			outcome = "" // the most frequent one
		}
		data = appendText(appendText(data, outcome), h.reason)
	}
	return data
}

// encode appends a row without its history. It returns the last time, from which those of the history are differences.
func (c *compactRow) encode(data []byte, before int64) (_ []byte, last int64) {
	data = binary.AppendUvarint(append(data, c.flags), uint64(c.turns))
	for _, time := range c.times() {
		if time != nil {
			data = binary.AppendVarint(data, *time-before)
			before = *time
		}
	}
	return data, before
}

// times returns the times of the row, with nil for those that it does not have.
func (c *compactRow) times() [4]*int64 {
	times := [4]*int64{&c.at, &c.delivered, &c.confirmed, &c.sent}
	for i := range times {
		if c.flags&(hasAt<<i) == 0 {
			times[i] = nil
		}
	}
	return times
}

// decodeState decodes what encodeValue has encoded, up to the history. It returns its last time, from which those of the history are differences.
func (r *rowReader) decodeState(before int64) (c compactRow, last int64) {
	if len(r.rest) == 0 {
		r.damaged = true
		return c, before
	}
	c.flags, r.rest = r.rest[0], r.rest[1:]
	c.turns = int32(r.uvarint())
	for _, time := range c.times() {
		if time != nil {
			*time = before + r.varint()
			before = *time
		}
	}
	return c, before
}

// appendHistory appends the history that follows.
func (r *rowReader) appendHistory(added []historyRow, before int64) []historyRow {
	for n := r.uvarint(); n > 0 && !r.damaged; n-- {
		slot := r.uvarint()
		h := historyRow{slot: int64(slot >> 1), member: slot&1 != 0, decided: before + r.varint(), at: before + r.varint(), outcome: r.text(), reason: r.text()}
		if h.outcome == "" {
			h.outcome = outcomeDelivered
		}
		added = append(added, h)
	}
	return added
}

// skipValue reads and drops what encodeValue has encoded.
func (r *rowReader) skipValue() {
	if len(r.rest) == 0 {
		r.damaged = true
		return
	}
	times := r.rest[0] & (hasAt | hasDelivered | hasConfirmed | hasSent)
	r.rest = r.rest[1:]
	r.skip(1 + bits.OnesCount8(times))
	for n := r.uvarint(); n > 0 && !r.damaged; n-- {
		r.skip(3)
		r.text()
		r.text()
	}
}
