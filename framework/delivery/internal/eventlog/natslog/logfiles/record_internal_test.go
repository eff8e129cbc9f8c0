package logfiles

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// testRecord is a record that a test writes.
type testRecord struct {
	seq                    uint64 // with the marks of erased records and tombstones
	subject, headers, data string
}

// testHeaders are the headers of a message as the server writes them.
const testHeaders = "NATS/1.0\r\nName: value\r\n\r\n"

func testDecoder(t *testing.T, stream string, block int) *decoder {
	t.Helper()
	d, err := newDecoder(stream, block)
	require.NoError(t, err)
	return d
}

// encode returns the bytes of records as the server writes them. The time of each is its sequence.
func (d *decoder) encode(records ...testRecord) (block []byte) {
	for _, r := range records {
		raw := make([]byte, headSize)
		binary.LittleEndian.PutUint64(raw[4:], r.seq)
		binary.LittleEndian.PutUint64(raw[12:], r.seq&^(erasedBit|tombstoneBit))
		binary.LittleEndian.PutUint16(raw[20:], uint16(len(r.subject)))
		raw = append(raw, r.subject...)
		if r.headers != "" {
			raw = append(binary.LittleEndian.AppendUint32(raw, uint32(len(r.headers))), r.headers...)
		}
		raw = append(raw, r.data...)
		raw = d.appendSum(raw, raw, raw[headSize:], len(r.subject), r.headers != "")
		length := uint32(len(raw))
		if r.headers != "" {
			length |= headersBit
		}
		binary.LittleEndian.PutUint32(raw, length)
		block = append(block, raw...)
	}
	return block
}

// TestFormsOfMessages checks which records are those of a message that the queue writes. The checksum does not say where the subject ends,
// so any other form is one whose lengths are damaged.
func TestFormsOfMessages(t *testing.T) {
	for _, c := range []struct {
		stream string
		record testRecord
		want   bool
	}{
		{"EVENTS", testRecord{subject: "ev.web.0", data: `{"a":1}`}, true},
		{"EVENTS", testRecord{subject: "ev.web.0", headers: testHeaders, data: `{"a":1}`}, true},
		{"EVENTS", testRecord{subject: "ev.web.0", headers: testHeaders}, true},
		{"EVENTS", testRecord{subject: "ctl.main"}, true},
		{"EVENTS", testRecord{subject: "probe.EVENTS"}, true},
		{"EVENTS", testRecord{subject: "ev.!~"}, true},
		{"EVENTS", testRecord{subject: "park.main.0"}, false},
		{"EVENTS", testRecord{subject: "event"}, false},
		{"EVENTS", testRecord{subject: "ev."}, false},
		{"EVENTS", testRecord{subject: "ev..0"}, false},
		{"EVENTS", testRecord{subject: "ev.a b"}, false},
		{"EVENTS", testRecord{subject: "ev.a\x7f"}, false},
		{"EVENTS", testRecord{subject: "ev.*"}, false},
		{"EVENTS", testRecord{subject: "ev.>"}, false},
		{"EVENTS", testRecord{subject: "", data: `{"a":1}`}, false},
		{"EVENTS", testRecord{subject: "ev.web.0", data: "text"}, false},
		{"EVENTS", testRecord{subject: "ev.web.0", headers: "Name: value\r\n\r\n", data: `{"a":1}`}, false},
		{"EVENTS", testRecord{subject: "ev.web.0", headers: "NATS/1.0\r\nName: value", data: `{"a":1}`}, false},
		{"PARK", testRecord{subject: "park.main.0", data: "{}"}, true},
		{"PARK", testRecord{subject: "ev.web.0", data: "{}"}, false},
		{"DEAD", testRecord{subject: "dead.main.0", data: "{}"}, true},
		{"DEAD", testRecord{subject: "park.main.0", data: "{}"}, false},
		{"BOOKS", testRecord{subject: "book.main.0", data: "{}"}, true},
		{"BOOKS", testRecord{subject: "book.main.0", data: "text"}, false},
		{"BOOKS", testRecord{subject: "proc.1", data: "text"}, true},
		{"BOOKS", testRecord{subject: "dead.main.0", data: "{}"}, false},
		{"OTHER", testRecord{subject: "x", data: "{}"}, true},
		{"OTHER", testRecord{subject: "", data: "{}"}, false},
	} {
		d := testDecoder(t, c.stream, 1)
		c.record.seq = 7
		raw := d.encode(c.record)
		r := d.decodeRecord(raw, len(raw))
		if !c.want {
			assert.Nil(t, r, "%s %+v", c.stream, c.record)
			continue
		}
		if assert.NotNil(t, r, "%s %+v", c.stream, c.record) {
			assert.Equal(t, record{seq: 7, time: 7, subject: c.record.subject, raw: raw}, *r)
		}
	}
}

// TestDamagedLengths changes each length of a record that no checksum protects: the record is restored as it was, or it is damaged. It
// never has another subject.
func TestDamagedLengths(t *testing.T) {
	d := testDecoder(t, "EVENTS", 1)
	for name, c := range map[string]struct {
		record   testRecord
		restored bool // from another length of the subject
	}{
		"without headers": {testRecord{seq: 7, subject: "ev.web.0", data: `{"a":{"b":1}}`}, true},
		"with headers":    {testRecord{seq: 7, subject: "ev.web.0", headers: testHeaders, data: `{"a":1}`}, false},
		"without data":    {testRecord{seq: 7, subject: "ev.web.0"}, false},
		"a tombstone":     {testRecord{seq: 7 | tombstoneBit}, true},
		"an erased one":   {testRecord{seq: 7 | erasedBit, data: "\x01\x02\x03random\xff"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			intact := d.encode(c.record)
			for _, size := range []int{0, 1, 2, 3, 4, 6, 7, 9, 10, 20, 27, 28, 100, 0x7fff, 0xffff} {
				if size == len(c.record.subject) {
					continue
				}
				raw := bytes.Clone(intact)
				binary.LittleEndian.PutUint16(raw[20:], uint16(size))
				r := d.decodeRecord(raw, len(raw))
				if !c.restored {
					assert.Nil(t, r, size)
				} else if assert.NotNil(t, r, size) {
					assert.Equal(t, c.record.subject, r.subject)
					assert.True(t, r.repaired)
					assert.Equal(t, intact, r.raw)
				}
			}
			if c.restored {
				raw := bytes.Clone(intact)
				raw[3] ^= 0x80
				binary.LittleEndian.PutUint16(raw[20:], 0xffff)
				r := d.decodeRecord(raw, len(raw))
				require.NotNil(t, r, "both are damaged")
				assert.Equal(t, intact, r.raw)
			}
			for _, mark := range []byte{0, 0x80} {
				raw := bytes.Clone(intact)
				raw[3] = raw[3]&^0x80 | mark
				r := d.decodeRecord(raw, len(raw))
				require.NotNil(t, r)
				assert.Equal(t, intact, r.raw)
				assert.Equal(t, !bytes.Equal(raw, intact), r.repaired)
			}
			if c.record.headers != "" {
				at := headSize + len(c.record.subject)
				for _, size := range []uint32{0, 1, uint32(len(c.record.headers) - 1), uint32(len(c.record.headers) + 1), 1 << 20, 1 << 31} {
					raw := bytes.Clone(intact)
					binary.LittleEndian.PutUint32(raw[at:], size)
					assert.Nil(t, d.decodeRecord(raw, len(raw)), size)
				}
			}
		})
	}
}

// TestSizesOfRecords checks the limits of a record's size, and that it is not looked for behind the end of a file.
func TestSizesOfRecords(t *testing.T) {
	d := testDecoder(t, "EVENTS", 1)
	tombstone := d.newTombstone(9, 12345)
	assert.Len(t, tombstone, 30)
	r := d.decodeRecord(tombstone, 30)
	require.NotNil(t, r)
	assert.Equal(t, record{seq: 9, time: 12345, tombstone: true, raw: tombstone}, *r)
	assert.False(t, r.isMessage())
	for _, size := range []int{-1, 0, 29, 31} {
		assert.Nil(t, d.decodeRecord(tombstone, size), size)
	}
	assert.Nil(t, d.decodeRecord(tombstone[:29:30], 30))
}

// TestChecksumsAreThoseOfOneFile checks that a record which was copied from another file, or from another stream, is damaged.
func TestChecksumsAreThoseOfOneFile(t *testing.T) {
	raw := testDecoder(t, "EVENTS", 1).encode(testRecord{seq: 1, subject: "probe.x"})
	assert.NotNil(t, testDecoder(t, "EVENTS", 1).decodeRecord(raw, len(raw)))
	assert.Nil(t, testDecoder(t, "EVENTS", 2).decodeRecord(raw, len(raw)))
	assert.Nil(t, testDecoder(t, "DEAD", 1).decodeRecord(raw, len(raw)))
}
