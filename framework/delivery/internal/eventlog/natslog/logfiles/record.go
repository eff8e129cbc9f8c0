package logfiles

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"
	"strings"

	"github.com/minio/highwayhash"
)

// Layout of a record: length (4 bytes, the top bit is set if there are headers), sequence (8, the top bits mark erased records
// and tombstones), time (8), length of the subject (2), subject, [length of the headers (4), headers], payload, checksum (8).
// Numbers are little endian. The checksum covers neither of the lengths.
const (
	headSize     = 22
	sumSize      = 8
	maxRecord    = 32 << 20
	headersBit   = 1 << 31
	erasedBit    = 1 << 63
	tombstoneBit = 1 << 62
)

// record is an intact record of a block.
type record struct {
	seq       uint64
	time      int64
	subject   string
	tombstone bool
	erased    bool
	raw       []byte // as it should be in the block, with a damaged length repaired
	repaired  bool   // a length was repaired
}

// isMessage reports whether the record holds a message.
func (r *record) isMessage() bool { return !r.tombstone && !r.erased }

// decoder decodes the records of one block.
type decoder struct {
	stream string
	sum    hash.Hash
}

func newDecoder(stream string, block int) (*decoder, error) {
	sum, err := newSum(fmt.Sprintf("%s-%d", stream, block))
	if err != nil {
		return nil, err
	}
	return &decoder{stream: stream, sum: sum}, nil
}

// newSum returns the hash of the checksums in the file with a name: that of the stream for its index, with the number for a block.
func newSum(name string) (hash.Hash, error) {
	key := sha256.Sum256([]byte(name))
	return highwayhash.New64(key[:])
}

// decodeRecord returns the record in the first size bytes of buf, nil if it is damaged.
func (d *decoder) decodeRecord(buf []byte, size int) *record {
	if size < headSize+sumSize || size > len(buf) || size > maxRecord {
		return nil
	}
	raw := buf[:size]
	length, stored := binary.LittleEndian.Uint32(raw), binary.LittleEndian.Uint64(raw[4:])
	r := &record{
		seq: stored &^ (erasedBit | tombstoneBit), time: int64(binary.LittleEndian.Uint64(raw[12:])),
		tombstone: stored&tombstoneBit != 0, erased: stored&erasedBit != 0, raw: raw,
	}
	body := raw[headSize : size-sumSize]
	subjectSize, headers := int(binary.LittleEndian.Uint16(raw[20:])), length&headersBit != 0
	if !r.isMessage() {
		subjectSize, headers = 0, false // only messages have them
	}
	if !d.hasValidSum(raw, body, subjectSize, headers) {
		if headers = !headers; !d.hasValidSum(raw, body, subjectSize, headers) {
			return nil
		}
	}
	if r.isMessage() && !d.isPlausible(body, subjectSize, headers) {
		if subjectSize = bytes.IndexByte(body, '{'); headers || subjectSize < 0 || !d.isPlausible(body, subjectSize, false) {
			return nil
		}
	}
	r.subject = string(body[:subjectSize])
	r.restoreLengths(subjectSize, headers)
	return r
}

// hasValidSum reports whether the checksum of a record matches.
func (d *decoder) hasValidSum(raw, body []byte, subjectSize int, headers bool) bool {
	if subjectSize > len(body) {
		if headers {
			return false
		}
		subjectSize = len(body) // without headers, the checksum does not depend on it
	}
	if headers && len(body)-subjectSize < 4 {
		return false
	}
	var made [sumSize]byte
	return bytes.Equal(d.appendSum(made[:0], raw, body, subjectSize, headers), raw[len(raw)-sumSize:])
}

// appendSum appends the checksum of a record to a buffer: of its sequence and time, its subject, its headers and its payload.
func (d *decoder) appendSum(to, raw, body []byte, subjectSize int, headers bool) []byte {
	d.sum.Reset()
	_, _ = d.sum.Write(raw[4:20])
	_, _ = d.sum.Write(body[:subjectSize])
	rest := body[subjectSize:]
	if headers {
		rest = rest[4:]
	}
	_, _ = d.sum.Write(rest)
	return d.sum.Sum(to)
}

// isPlausible reports whether a message has a form that the queue writes. The checksum does not protect the limits of its parts.
func (d *decoder) isPlausible(body []byte, subjectSize int, headers bool) bool {
	if subjectSize <= 0 || subjectSize > len(body) || !isValidSubject(d.stream, string(body[:subjectSize])) {
		return false
	}
	rest := body[subjectSize:]
	if headers {
		if len(rest) < 4 {
			return false
		}
		size := int(binary.LittleEndian.Uint32(rest))
		return size <= len(rest)-4 && bytes.HasPrefix(rest[4:], []byte("NATS/1.0")) && bytes.HasSuffix(rest[4:4+size], []byte("\r\n\r\n"))
	}
	return len(rest) == 0 || rest[0] == '{' || bytes.HasPrefix(body, []byte("proc."))
}

// subjectPrefixes returns the prefixes of a stream's subjects.
func subjectPrefixes(stream string) []string {
	switch stream {
	case "EVENTS":
		return []string{"ev.", "ctl."}
	case "PARK":
		return []string{"park."}
	case "DEAD":
		return []string{"dead."}
	case "BOOKS":
		return []string{"book.", "proc."}
	}
	return []string{""}
}

func isValidSubject(stream, subject string) bool {
	for _, c := range []byte(subject) {
		if c <= ' ' || c >= 0x7f || c == '{' || c == '*' || c == '>' {
			return false
		}
	}
	for _, p := range append(subjectPrefixes(stream), "probe.") {
		if strings.HasPrefix(subject, p) {
			return !strings.HasSuffix(subject, ".") && !strings.Contains(subject, "..")
		}
	}
	return false
}

// restoreLengths repairs the lengths of a record whose content is intact.
func (r *record) restoreLengths(subjectSize int, headers bool) {
	length := uint32(len(r.raw))
	if headers {
		length |= headersBit
	}
	if binary.LittleEndian.Uint32(r.raw) == length && int(binary.LittleEndian.Uint16(r.raw[20:])) == subjectSize {
		return
	}
	r.raw, r.repaired = bytes.Clone(r.raw), true
	binary.LittleEndian.PutUint32(r.raw, length)
	binary.LittleEndian.PutUint16(r.raw[20:], uint16(subjectSize))
}

// newTombstone returns a record which tells the server that a sequence was used.
func (d *decoder) newTombstone(seq uint64, at int64) []byte {
	raw := make([]byte, headSize+sumSize)
	binary.LittleEndian.PutUint32(raw, uint32(len(raw)))
	binary.LittleEndian.PutUint64(raw[4:], seq|tombstoneBit)
	binary.LittleEndian.PutUint64(raw[12:], uint64(at))
	d.appendSum(raw[:headSize], raw, nil, 0, false)
	return raw
}
