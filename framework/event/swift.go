package event

import (
	"math/bits"
	"strings"
	"sync"
)

// This file is the fast way of reading a text of up to 64 KB. It builds the index that scanner builds, node for node alike but in
// shorts, and gives up where a text is not plainly valid or something in it is too long: the scanner then reads it from the start.
// FuzzSwift holds the two against each other. It differs in three ways: strings are skipped eight bytes at a time, what changes
// with every value is in local variables, and its room is used again.

// draft is room to work in.
type draft struct {
	index  []short
	values []short // of the open containers so far
	open   [MaxDepth]opened
}

// opened is an open container: where its text begins, and its values.
type opened struct{ start, from int32 }

// drafts are drafts to work in; what is kept of one is copied.
var drafts = sync.Pool{New: func() any { return new(draft) }}

// swift is the index of a text, nil where the fast way is not sure of it. ascii tells that the text has no other bytes.
func swift(text string) (index []short, ascii bool) {
	if len(text) > maxShort {
		return nil, false
	}
	d := drafts.Get().(*draft)
	d.index, d.values = d.index[:0], d.values[:0]
	seen, ok := d.read(text)
	if ok {
		index = append([]short(nil), d.index...)
	}
	drafts.Put(d)
	return index, seen&highs == 0
}

// read makes the index of a text; not ok where it gives up. seen is what the words of all strings have in common with highs, at
// least where a byte of them is not ASCII.
func (d *draft) read(text string) (seen uint64, ok bool) {
	var (
		pos, start, depth int
		values            = d.values
		isKey, inObject   bool
		escaped           short
		c                 byte
	)
value:
	for pos < len(text) && isSpace(text[pos]) {
		pos++
	}
	if pos >= len(text) {
		return seen, false
	}
	start = pos
	switch c = text[pos]; {
	case c == '"':
		isKey = false
		goto str
	case c == '{' || c == '[':
		if depth == MaxDepth {
			return seen, false
		}
		d.open[depth] = opened{int32(start), int32(len(values))}
		depth++
		inObject = c == '{'
		pos++
		for pos < len(text) && isSpace(text[pos]) {
			pos++
		}
		if pos < len(text) && text[pos] == c+2 { // in ASCII the closing one
			goto closing
		}
		if inObject {
			goto key
		}
		goto value
	default:
		scalar, end := swiftScalar(text, pos)
		if end < 0 {
			return seen, false
		}
		values = append(values, scalar)
		pos = end
	}

after: // a value has been read
	if depth == 0 {
		for pos < len(text) && isSpace(text[pos]) {
			pos++
		}
		if pos < len(text) {
			return seen, false
		}
		d.index, d.values = append(d.index, values...), values
		return seen, true
	}
	for pos < len(text) && isSpace(text[pos]) {
		pos++
	}
	if pos >= len(text) {
		return seen, false
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
		return seen, false
	}

key:
	for pos < len(text) && isSpace(text[pos]) {
		pos++
	}
	if pos >= len(text) || text[pos] != '"' {
		return seen, false
	}
	isKey = true

str: // a string begins at pos
	start = pos
	pos++
	escaped = 0
	for {
		for pos+8 <= len(text) {
			w := word(text[pos : pos+8])
			seen |= w
			if special := specials(w); special != 0 {
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
			return seen, false
		}
	special:
		if text[pos] == '"' {
			break
		}
		if text[pos] != '\\' {
			return seen, false
		}
		escaped = escapedNode
		if pos = swiftEscape(text, pos); pos < 0 {
			return seen, false
		}
	}
	pos++
	if pos-start > maxShortLength {
		return seen, false
	}
	values = append(values, newShort(String, start, pos)|escaped)
	if !isKey {
		goto after
	}
	if pos >= len(text) || text[pos] != ':' {
		for pos < len(text) && isSpace(text[pos]) {
			pos++
		}
		if pos >= len(text) || text[pos] != ':' {
			return seen, false
		}
	}
	pos++
	goto value

closing: // pos is at the end of the innermost container
	pos++
	depth--
	if values = d.close(values, depth, pos, inObject); values == nil {
		return seen, false
	}
	inObject = depth > 0 && text[d.open[depth-1].start] == '{'
	goto after
}

// close moves what is in the innermost open container to the index, and puts the container in its place; nil where it has too much.
func (d *draft) close(values []short, depth, end int, object bool) []short {
	open := d.open[depth]
	inside := values[open.from:]
	kind, size := Array, len(inside)
	if object {
		kind, size = Object, size/2
	}
	if size > maxShortLength {
		return nil
	}
	d.index = append(append(d.index, short(open.start)<<shortPlaceShift|short(end)), inside...)
	first := len(d.index) - len(inside)
	return append(values[:open.from], newShort(kind, first, first+size))
}

func isSpace(c byte) bool { return c <= ' ' && (c == ' ' || c == '\n' || c == '\r' || c == '\t') }

// swiftScalar is the number, true, false or null at pos and where it ends, -1 where there is none or it is too long.
func swiftScalar(text string, pos int) (short, int) {
	end, kind := -1, Number
	switch c := text[pos]; {
	case c == '-' || c-'0' <= 9:
		end = swiftNumber(text, pos)
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
	return newShort(kind, pos, end), end
}

// swiftEscape is behind the escape at pos, -1 where that is none.
func swiftEscape(text string, pos int) int {
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

// swiftNumber is behind the number at pos, -1 where that is none.
func swiftNumber(text string, pos int) int {
	if text[pos] == '-' {
		pos++
	}
	if pos < len(text) && text[pos] == '0' {
		pos++
	} else if pos = swiftDigits(text, pos); pos < 0 {
		return -1
	}
	if pos < len(text) && text[pos] == '.' {
		if pos = swiftDigits(text, pos+1); pos < 0 {
			return -1
		}
	}
	if pos < len(text) && text[pos]|0x20 == 'e' {
		pos++
		if pos < len(text) && (text[pos] == '+' || text[pos] == '-') {
			pos++
		}
		return swiftDigits(text, pos)
	}
	return pos
}

// swiftDigits is behind the digits at pos, -1 where there are none.
func swiftDigits(text string, pos int) int {
	if pos >= len(text) || text[pos]-'0' > 9 {
		return -1
	}
	for pos < len(text) && text[pos]-'0' <= 9 {
		pos++
	}
	return pos
}

const (
	lows  = 0x0101010101010101
	highs = 0x8080808080808080
)

// specials marks the bytes of a word that do not stand for themselves in a string: quotes, backslashes and control characters.
// The lowest mark is certain; a borrow may blur those above it.
func specials(w uint64) uint64 {
	low, slash := w^(lows*2), w^(lows*'\\') // what is below a space and the quote, and nothing else, is below 0x21 in low
	return ((low-lows*0x21)&^low | (slash-lows)&^slash) & highs
}

// plain is how many bytes at the beginning of a text stand for themselves in a string, at least.
func plain(text string) int {
	pos := 0
	for pos+8 <= len(text) && specials(word(text[pos:pos+8])) == 0 {
		pos += 8
	}
	return pos
}

// word is eight bytes, the first one lowest.
func word(b string) uint64 {
	_ = b[7]
	return uint64(b[0]) | uint64(b[1])<<8 | uint64(b[2])<<16 | uint64(b[3])<<24 | uint64(b[4])<<32 | uint64(b[5])<<40 | uint64(b[6])<<48 | uint64(b[7])<<56
}
