package delivery

import (
	"bytes"
	"errors"
	"slices"

	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog/compressed"
)

// Subjects of the journal's messages.
const (
	journalSubject    = "journal.groups" // of groups that are not compressed, as earlier versions have written them
	compressedSubject = "journal.s2"     // of groups that are compressed: they have most of their text in common, and compressing it costs less than what the embedded server does with each byte
)

const maxGroupBytes = 16 << 20 // of the text of a group that is read

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

var errGroupDamaged = errors.New("a group of accepted events cannot be decompressed")

// groupText returns the text of a group in a message.
func groupText(subject string, data []byte) ([]byte, error) {
	if subject != compressedSubject {
		return data, nil
	}
	text, err := compressed.Text(nil, data, maxGroupBytes)
	if err != nil {
		return nil, errGroupDamaged
	}
	return text, nil
}
