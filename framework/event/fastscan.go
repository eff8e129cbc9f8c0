package event

import (
	"math/bits"
	"slices"
	"strings"
	"sync"
)

// This file holds a fast scanner for texts of up to 64 KB. It builds the same index as scanner, but of shortNodes. It gives up on a
// text that may be invalid or contains something too long, and scanner then reads the text from the start. FuzzFastScan compares
// the two. The fast scanner differs in three ways: it reads strings eight bytes at a time, it keeps its state in local variables,
// and it reuses its buffers.

// fastScanner holds the buffers of a scan.
type fastScanner struct {
	index  []shortNode
	values []shortNode // content of the open containers so far
	open   [MaxDepth]openShort
	learner
	learned []step // the steps of the text, if records is set
	records bool
}

// openShort is a container that is not closed yet: where its text starts, and the index of its first entry in values.
type openShort struct{ start, from int32 }

// fastScanners pools the buffers. What a scan returns is copied out of them.
var fastScanners = sync.Pool{New: func() any { return new(fastScanner) }}

// fastScan returns the index of a text, or nil if it gives up, and the outline of the text if it was expected. ascii is true only if the
// text is known to be pure ASCII.
func fastScan(text string) (index []shortNode, found *outline, ascii bool) {
	if len(text) > maxShort {
		return nil, nil, false
	}
	d := fastScanners.Get().(*fastScanner)
	index, found, ascii = d.scanText(text)
	fastScanners.Put(d)
	return index, found, ascii
}

// scanText is fastScan with the buffers of d.
func (d *fastScanner) scanText(text string) (index []shortNode, found *outline, ascii bool) {
	d.index, d.values = d.index[:0], d.values[:0]
	var expected []step
	if d.expected != nil {
		expected = d.expected.steps
	}
	seen, met, ok := d.scan(text, expected)
	if !ok {
		return nil, nil, false
	}
	index, ascii = append([]shortNode(nil), d.index...), seen&highBits == 0
	switch {
	case met && d.expected != nil:
		d.hit()
		found = d.expected
	case ascii && d.shouldLearn():
		d.learn(text)
	}
	return index, found, ascii
}

// learn makes the outline of a text, which is valid and pure ASCII, the expected one, unless it is large or keys have escapes.
func (d *fastScanner) learn(text string) {
	d.index, d.values, d.records = d.index[:0], d.values[:0], true
	d.scan(text, nil)
	if len(d.learned) <= maxSteps && !slices.ContainsFunc(d.learned, func(s step) bool { return strings.Contains(s.key, `\`) }) {
		d.expected = sharedOutline(d.learned)
	}
	d.learned, d.records = nil, false
}

// scan builds the index of a text. ok is false if it gives up. seen is the union of the bits of all strings; seen&highBits is not
// zero if a byte of them is not ASCII. met reports whether the text has the expected steps, and no others.
func (d *fastScanner) scan(text string, expected []step) (seen uint64, met, ok bool) {
	var (
		pos, start, depth int
		values            = d.values
		isKey, inObject   bool
		escaped           shortNode
		c                 byte
		next              int // in expected; more than its length if the text has other steps
	)
value:
	for pos < len(text) && isSpace(text[pos]) {
		pos++
	}
	if pos >= len(text) {
		return seen, false, false
	}
	start = pos
	switch c = text[pos]; {
	case c == '"':
		isKey = false
		goto str
	case c == '{' || c == '[':
		if depth == MaxDepth {
			return seen, false, false
		}
		d.open[depth] = openShort{int32(start), int32(len(values))}
		depth++
		inObject = c == '{'
		pos++
		for pos < len(text) && isSpace(text[pos]) {
			pos++
		}
		if pos < len(text) && text[pos] == c+2 { // in ASCII each closing bracket is two behind its opening one
			goto closing
		}
		if inObject {
			goto key
		}
		goto value
	default:
		scalar, end := fastScalar(text, pos)
		if end < 0 {
			return seen, false, false
		}
		values = append(values, scalar)
		pos = end
	}

after: // a value has been scanned
	if depth == 0 {
		for pos < len(text) && isSpace(text[pos]) {
			pos++
		}
		if pos < len(text) {
			return seen, false, false
		}
		d.index, d.values = append(d.index, values...), values
		return seen, next == len(expected), true
	}
	for pos < len(text) && isSpace(text[pos]) {
		pos++
	}
	if pos >= len(text) {
		return seen, false, false
	}
	switch c = text[pos]; {
	case c == ',' && inObject:
		pos++
	case c == ',':
		pos++
		goto value
	case c == '}' && inObject || c == ']' && !inObject:
		goto closing
	default:
		return seen, false, false
	}

key:
	for pos < len(text) && isSpace(text[pos]) {
		pos++
	}
	if pos >= len(text) || text[pos] != '"' {
		return seen, false, false
	}
	if next < len(expected) {
		if s := &expected[next]; s.place == placeOf(depth, len(values)) && s.isKey(text, pos) {
			start = pos
			pos += len(s.key)
			next++
			values = append(values, newShortNode(String, start, pos-1))
			goto value
		}
	}
	next = len(expected) + 1
	isKey = true

str: // a string starts at pos
	start = pos
	pos++
	escaped = 0
	for {
		for pos+8 <= len(text) {
			w := loadWord(text[pos : pos+8])
			seen |= w
			if special := markSpecial(w); special != 0 {
				pos += bits.TrailingZeros64(special) / 8
				goto special
			}
			pos += 8
		}
		for pos < len(text) && text[pos] != '"' && text[pos] != '\\' && text[pos] >= 0x20 {
			seen |= uint64(text[pos])
			pos++
		}
		if pos >= len(text) {
			return seen, false, false
		}
	special:
		if text[pos] == '"' {
			break
		}
		if text[pos] != '\\' {
			return seen, false, false
		}
		escaped = escapedNode
		if pos = fastEscape(text, pos); pos < 0 {
			return seen, false, false
		}
	}
	pos++
	if pos-start > maxShortLength {
		return seen, false, false
	}
	values = append(values, newShortNode(String, start, pos)|escaped)
	if !isKey {
		goto after
	}
	if d.records {
		d.learned = append(d.learned, keyStep(text[start:pos], placeOf(depth, len(values)-1)))
	}
	if pos >= len(text) || text[pos] != ':' {
		for pos < len(text) && isSpace(text[pos]) {
			pos++
		}
		if pos >= len(text) || text[pos] != ':' {
			return seen, false, false
		}
	}
	pos++
	goto value

closing: // pos is at the end of the innermost container
	pos++
	depth--
	if values = d.closeContainer(values, depth, pos, inObject); values == nil {
		return seen, false, false
	}
	if next < len(expected) && expected[next].end == values[len(values)-1] && expected[next].place == uint32(depth) {
		next++
	} else {
		next = len(expected) + 1
	}
	if d.records {
		d.learned = append(d.learned, endStep(depth, values[len(values)-1]))
	}
	inObject = depth > 0 && text[d.open[depth-1].start] == '{'
	goto after
}

// closeContainer moves the content of the innermost container to the index and appends the container to the values around it. It
// returns nil if the container has too many members.
func (d *fastScanner) closeContainer(values []shortNode, depth, end int, object bool) []shortNode {
	open := d.open[depth]
	inside := values[open.from:]
	kind, size := Array, len(inside)
	if object {
		kind, size = Object, size/2
	}
	if size > maxShortLength {
		return nil
	}
	d.index = append(append(d.index, shortNode(open.start)<<shortStartShift|shortNode(end)), inside...)
	first := len(d.index) - len(inside)
	return append(values[:open.from], newShortNode(kind, first, first+size))
}

func isSpace(c byte) bool { return c <= ' ' && (c == ' ' || c == '\n' || c == '\r' || c == '\t') }

// fastScalar scans the number, true, false or null at pos and returns where it ends, or -1 if there is none or it is too long.
func fastScalar(text string, pos int) (shortNode, int) {
	end, kind := -1, Number
	switch c := text[pos]; {
	case c == '-' || c-'0' <= 9:
		end = fastNumber(text, pos)
	case strings.HasPrefix(text[pos:], "true"):
		end, kind = pos+4, True
	case strings.HasPrefix(text[pos:], "false"):
		end, kind = pos+5, False
	case strings.HasPrefix(text[pos:], "null"):
		end, kind = pos+4, Null
	}
	if end-pos > maxShortLength {
		end = -1
	}
	return newShortNode(kind, pos, end), end
}

// fastEscape returns the offset after the escape at pos, or -1 if it is not valid.
func fastEscape(text string, pos int) int {
	if pos+1 >= len(text) {
		return -1
	}
	switch text[pos+1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return pos + 2
	case 'u':
		if pos+6 <= len(text) && isHex(text[pos+2]) && isHex(text[pos+3]) && isHex(text[pos+4]) && isHex(text[pos+5]) {
			return pos + 6
		}
	}
	return -1
}

// fastNumber returns the offset after the number at pos, or -1 if it is not valid.
func fastNumber(text string, pos int) int {
	if text[pos] == '-' {
		pos++
	}
	if pos < len(text) && text[pos] == '0' {
		pos++
	} else if pos = fastDigits(text, pos); pos < 0 {
		return -1
	}
	if pos < len(text) && text[pos] == '.' {
		if pos = fastDigits(text, pos+1); pos < 0 {
			return -1
		}
	}
	if pos < len(text) && text[pos]|0x20 == 'e' {
		pos++
		if pos < len(text) && (text[pos] == '+' || text[pos] == '-') {
			pos++
		}
		return fastDigits(text, pos)
	}
	return pos
}

// fastDigits returns the offset after the digits at pos, or -1 if there are none.
func fastDigits(text string, pos int) int {
	if pos >= len(text) || text[pos]-'0' > 9 {
		return -1
	}
	for pos < len(text) && text[pos]-'0' <= 9 {
		pos++
	}
	return pos
}

const (
	lowBits  = 0x0101010101010101
	highBits = 0x8080808080808080
)

// markSpecial sets the highest bit of each byte that needs attention in a string: quotes, backslashes and control characters. Only
// the lowest mark is exact: a borrow may set false marks above it.
func markSpecial(w uint64) uint64 {
	low, slash := w^(lowBits*2), w^(lowBits*'\\') // control characters and the quote, and nothing else, are below 0x21 in low
	return ((low-lowBits*0x21)&^low | (slash-lowBits)&^slash) & highBits
}

// plainPrefix returns a lower bound of how many bytes at the beginning of a text need no escape in a JSON string. It is a multiple
// of eight.
func plainPrefix(text string) int {
	pos := 0
	for pos+8 <= len(text) && markSpecial(loadWord(text[pos:pos+8])) == 0 {
		pos += 8
	}
	return pos
}

// loadWord returns eight bytes as a little-endian integer.
func loadWord(b string) uint64 {
	_ = b[7]
	return uint64(b[0]) | uint64(b[1])<<8 | uint64(b[2])<<16 | uint64(b[3])<<24 | uint64(b[4])<<32 | uint64(b[5])<<40 | uint64(b[6])<<48 | uint64(b[7])<<56
}
