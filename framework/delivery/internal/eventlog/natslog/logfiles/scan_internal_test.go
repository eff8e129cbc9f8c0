package logfiles

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
)

// message returns a message of the stream EVENTS.
func message(seq uint64) testRecord {
	return testRecord{seq: seq, subject: "ev.web.0", data: `{"userId":"ann"}`}
}

// TestScansOfDamagedBlocks checks what is found in a block with damage: the records beside it, which sequence is lost, and whether it can
// be the end of an interrupted write.
func TestScansOfDamagedBlocks(t *testing.T) {
	d := testDecoder(t, "EVENTS", 1)
	one, two, three, four := d.encode(message(1)), d.encode(message(2)), d.encode(message(3)), d.encode(message(4))
	size := len(one)
	deleted := d.encode(testRecord{seq: 2 | tombstoneBit})
	broken := func(raw []byte, at int) []byte {
		raw = bytes.Clone(raw)
		raw[at] ^= 4
		return raw
	}
	marked := func(raw []byte, seq uint64) []byte {
		raw = bytes.Clone(raw)
		binary.LittleEndian.PutUint64(raw[4:], seq)
		return raw
	}
	sized := func(raw []byte, size uint32) []byte {
		raw = bytes.Clone(raw)
		binary.LittleEndian.PutUint32(raw, size)
		return raw
	}
	nested := d.encode(testRecord{seq: 3, subject: "ev.web.0", data: "{" + string(two) + string(d.encode(testRecord{seq: 1 << 48, subject: "ev.web.0"})) + "}"})
	head := d.encode(testRecord{seq: 3, subject: "ev.web.0", data: "{" + string(broken(d.encode(message(9)), 40)) + "}"})
	for name, c := range map[string]struct {
		block    []byte
		seqs     []uint64
		spans    []damagedSpan
		repaired int
	}{
		"nothing":                        {nil, nil, nil, 0},
		"intact":                         {slices.Concat(one, two, three), []uint64{1, 2, 3}, nil, 0},
		"the first":                      {slices.Concat(broken(one, 40), two), []uint64{2}, []damagedSpan{{from: 0, to: size, seq: 1}}, 0},
		"the second":                     {slices.Concat(one, broken(two, 40), three), []uint64{1, 3}, []damagedSpan{{from: size, to: 2 * size, seq: 2, after: 1}}, 0},
		"before a tombstone":             {slices.Concat(one, broken(three, 40), deleted, four), []uint64{1, 2, 4}, []damagedSpan{{from: size, to: 2 * size, seq: 3, tombstone: 2, after: 1}}, 0},
		"a tombstone":                    {slices.Concat(one, two, broken(deleted, 12), three), []uint64{1, 2, 3}, []damagedSpan{{from: 2 * size, to: 2*size + 30, after: 2}}, 0},
		"the length of one":              {slices.Concat(one, sized(two, 1<<20), three), []uint64{1, 2, 3}, nil, 1},
		"the length of the last":         {slices.Concat(one, sized(two, 1<<20)), []uint64{1, 2}, nil, 1},
		"no length":                      {slices.Concat(one, sized(two, 0), three), []uint64{1, 2, 3}, nil, 1},
		"two, the length of one":         {slices.Concat(broken(one, 40), sized(two, 1<<20), three), []uint64{3}, []damagedSpan{{from: 0, to: 2 * size, seq: 1}}, 0},
		"an earlier record in it":        {slices.Concat(one, two, broken(nested, 25), four), []uint64{1, 2, 4}, []damagedSpan{{from: 2 * size, to: 2*size + len(nested), seq: 3, after: 2}}, 0},
		"what looks like a record in it": {slices.Concat(one, two, broken(head, 25), four), []uint64{1, 2, 4}, []damagedSpan{{from: 2 * size, to: 2*size + len(head), seq: 3, after: 2}}, 0},
		"a sequence of a year later":     {slices.Concat(one, marked(two, 2+1<<20), three), []uint64{1, 3}, []damagedSpan{{from: size, to: 2 * size, after: 1}}, 0},
		"the largest plausible sequence": {slices.Concat(one, marked(two, 1+1<<20), three), []uint64{1, 3}, []damagedSpan{{from: size, to: 2 * size, seq: 1 + 1<<20, after: 1}}, 0},
		"an earlier sequence":            {slices.Concat(one, marked(two, 1), three), []uint64{1, 3}, []damagedSpan{{from: size, to: 2 * size, after: 1}}, 0},
		"an impossible sequence":         {slices.Concat(marked(one, 1<<48), two), []uint64{2}, []damagedSpan{{from: 0, to: size}}, 0},
		"the last possible sequence":     {slices.Concat(marked(one, 1<<48-1), two), []uint64{2}, []damagedSpan{{from: 0, to: size, seq: 1<<48 - 1}}, 0},
		"only zeros between":             {slices.Concat(one, make([]byte, 50), two), []uint64{1, 2}, []damagedSpan{{from: size, to: size + 50, after: 1}}, 0},
		"a tombstone of no sequence": {
			slices.Concat(one, broken(two, 40), d.encode(testRecord{seq: 1<<48 | tombstoneBit}), three), []uint64{1, 3},
			[]damagedSpan{{from: size, to: 2*size + 30, seq: 2, after: 1}}, 0,
		},
		"before an erased one":   {slices.Concat(one, broken(two, 40), d.encode(testRecord{seq: 3 | erasedBit, data: "random"})), []uint64{1, 3}, []damagedSpan{{from: size, to: 2 * size, seq: 2, after: 1}}, 0},
		"before a record of 0":   {slices.Concat(one, broken(two, 40), d.encode(testRecord{seq: erasedBit, data: "random"})), []uint64{1, 0}, []damagedSpan{{from: size, to: 2 * size, seq: 2, after: 1}}, 0},
		"an interrupted write":   {slices.Concat(one, two[:size-1]), []uint64{1}, []damagedSpan{{from: size, to: 2*size - 1, torn: true, seq: 2, after: 1}}, 0},
		"a write that was lost":  {slices.Concat(one, three[:size-1]), []uint64{1}, []damagedSpan{{from: size, to: 2*size - 1, seq: 3, after: 1}}, 0},
		"a tombstone that began": {slices.Concat(one, two, deleted[:25]), []uint64{1, 2}, []damagedSpan{{from: 2 * size, to: 2*size + 25, torn: true, after: 2}}, 0},
		"damage at the end":      {slices.Concat(one, broken(two, 40)), []uint64{1}, []damagedSpan{{from: size, to: 2 * size, seq: 2, after: 1}}, 0},
	} {
		content := d.scanBlock(c.block, 0, true)
		var seqs []uint64
		for _, r := range content.records {
			seqs = append(seqs, r.seq)
		}
		assert.Equal(t, c.seqs, seqs, name)
		assert.Equal(t, c.spans, content.damagedSpans, name)
		assert.Equal(t, c.repaired, content.repaired, name)
		lost := slices.ContainsFunc(c.spans, func(s damagedSpan) bool { return !s.torn })
		assert.Equal(t, lost || c.repaired > 0, content.isDamaged(), name)
		for _, s := range d.scanBlock(c.block, 0, false).damagedSpans {
			assert.False(t, s.torn, "%s: only the newest block ends in an interrupted write", name)
		}
	}
	content := d.scanBlock(slices.Concat(two, one, d.encode(testRecord{seq: 9 | tombstoneBit})), 0, true)
	assert.EqualValues(t, 2, content.lastSeq(), "a tombstone is no message")
	assert.Equal(t, []damagedSpan{{from: 0, to: size, torn: false}}, d.scanBlock(broken(two, 40), 5, true).damagedSpans, "its sequence was used before")
}

// TestInterruptedWrites checks which end of the newest block counts as an interrupted write, of which nothing was acknowledged. Any other
// end is a loss.
func TestInterruptedWrites(t *testing.T) {
	d := testDecoder(t, "EVENTS", 1)
	data := make([]byte, 4*sector)
	for i := range data {
		data[i] = byte(i%255) + 1
	}
	data[0] = '{'
	large := testRecord{seq: 5, subject: "ev.web.0", data: string(data)}
	whole := d.encode(large)
	zeros := func(from, to int) []byte {
		raw := bytes.Clone(whole)
		clear(raw[from:to])
		return raw
	}
	end := len(whole)
	sized := func(size uint32) []byte {
		raw := bytes.Clone(whole)
		binary.LittleEndian.PutUint32(raw, size)
		return raw
	}
	for name, c := range map[string]struct {
		tail []byte
		last uint64
		want bool
	}{
		"less than a head":               {whole[:headSize-1], 4, true},
		"a head of another sequence":     {whole[:headSize], 3, false},
		"a head":                         {whole[:headSize], 4, true},
		"a part":                         {whole[:end-1], 4, true},
		"a part after nothing":           {whole[:end-1], 0, true},
		"a part of a later one":          {whole[:end-1], 3, false},
		"a part of an earlier one":       {whole[:end-1], 5, false},
		"zeros":                          {make([]byte, 5000), 4, true},
		"a head of zeros":                {zeros(0, headSize), 4, true},
		"all of it":                      {whole, 4, false},
		"a sector of zeros in between":   {zeros(sector, 2*sector), 4, true},
		"fewer zeros in between":         {zeros(sector, 2*sector-1), 4, false},
		"a last sector of zeros":         {zeros(end-sector, end), 4, true},
		"fewer zeros at the end":         {zeros(end-sector+1, end), 4, false},
		"zeros within one sector":        {append(bytes.Clone(d.encode(message(5))[:headSize]), make([]byte, 32)...), 4, false},
		"the length of no record":        {sized(headSize + sumSize - 1), 4, false},
		"the largest length":             {sized(maxRecord), 4, true},
		"a larger one":                   {sized(maxRecord + 1), 4, false},
		"a tombstone of another one":     {d.encode(testRecord{seq: 2 | tombstoneBit})[:headSize+1], 4, true},
		"all of it, and zeros behind":    {append(bytes.Clone(whole), make([]byte, sector)...), 4, false},
		"all of it with a larger length": {sized(uint32(end + 1)), 4, true},
	} {
		assert.Equal(t, c.want, isTorn(c.tail, c.last), name)
	}
}
