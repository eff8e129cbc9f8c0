package delivery

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"

	"github.com/klauspost/compress/s2"
)

// Subjects of the journal's messages.
const (
	journalSubject    = "journal.groups" // of groups that are not compressed, as earlier versions have written them
	compressedSubject = "journal.s2"
)

// A compressed group is the length of an S2 block (4 bytes, little endian), the block with the text of the group, and zeros. The events of a group have
// most of their text in common, so that it is a fraction of its size, and compressing it costs less than what the embedded server does with each byte.
const (
	groupHead  = 4
	groupSlack = 64 // bytes of zeros, so that the block still fits if events in it are erased

	maxGroupBytes = 16 << 20 // of the text of a group that is read
)

// maxGroupText returns the number of bytes that the text of a group may have if its message has at most limit bytes: text that cannot be compressed
// becomes a little longer.
func maxGroupText(limit int64) int { return int(limit) - 1<<10 }

// encodeGroup encodes the first n records as a text of at most limit bytes, but at least one: a line with the event, a space and the subject.
// The text is in buffer if that is large enough.
func encodeGroup(buffer []byte, records []record, limit int) (text []byte, n int) {
	size := 0
	for n < len(records) {
		more := len(records[n].subject) + len(records[n].line) + 2
		if n > 0 && size+more > limit {
			break
		}
		size += more
		n++
	}
	text = slices.Grow(buffer[:0], size)
	for _, r := range records[:n] {
		text = append(append(append(text, r.line...), ' '), r.subject...)
		text = append(text, '\n')
	}
	return text, n
}

// decodeGroup is the inverse of encodeGroup.
func decodeGroup(text []byte) (list []record) {
	for line := range bytes.Lines(text) {
		event, subject := cutSubject(bytes.TrimSuffix(line, []byte{'\n'}))
		list = append(list, record{string(subject), event})
	}
	return list
}

// cutSubject returns the event and the subject in a line of a group.
func cutSubject(line []byte) (event, subject []byte) {
	at := max(bytes.LastIndexByte(line, ' '), 0)
	return line[:at], bytes.TrimPrefix(line[at:], []byte{' '})
}

// compressGroup returns the data of the message for the text of a group. It is in buffer if that is large enough.
func compressGroup(buffer, text []byte) []byte {
	size := groupHead + s2.MaxEncodedLen(len(text)) + groupSlack
	buffer = slices.Grow(buffer[:0], size)[:size]
	block := s2.Encode(buffer[groupHead:], text)
	binary.LittleEndian.PutUint32(buffer, uint32(len(block)))
	end := groupHead + len(block)
	clear(buffer[end : end+groupSlack])
	return buffer[:end+groupSlack]
}

// compressInto returns data of a size for the text of a group, or nil if it does not fit.
func compressInto(size int, text []byte) []byte {
	for _, encode := range []func(dst, src []byte) []byte{s2.Encode, s2.EncodeBetter, s2.EncodeBest} {
		if block := encode(nil, text); groupHead+len(block) <= size {
			data := make([]byte, size)
			binary.LittleEndian.PutUint32(data, uint32(len(block)))
			copy(data[groupHead:], block)
			return data
		}
	}
	return nil
}

var errGroupDamaged = errors.New("a group of accepted events cannot be decompressed")

// groupText returns the text of a group in a message.
func groupText(subject string, data []byte) ([]byte, error) {
	if subject != compressedSubject {
		return data, nil
	}
	if len(data) < groupHead {
		return nil, errGroupDamaged
	}
	size, rest := int(binary.LittleEndian.Uint32(data)), data[groupHead:]
	if size > len(rest) {
		return nil, errGroupDamaged
	}
	if n, err := s2.DecodedLen(rest[:size]); err != nil || n > maxGroupBytes {
		return nil, errGroupDamaged
	}
	text, err := s2.Decode(nil, rest[:size])
	if err != nil {
		return nil, errGroupDamaged
	}
	return text, nil
}
