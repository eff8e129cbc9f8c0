package event

import (
	"encoding/binary"
	"math/bits"
	"sync"
	"unsafe"
)

// This file is the fast way of reading a text. It builds the index that scanner builds, byte for byte alike, and gives up where
// a text is not plainly valid: the scanner then reads it from the start and says what is wrong. FuzzSwift holds the two
// against each other. It differs in three ways: strings are skipped eight bytes at a time, all state is in local variables, and the open
// containers are linked through the index itself.

// drafts are indexes to work on; what is kept of one is copied.
var drafts = sync.Pool{New: func() any { return new([]node) }}

// maxDraft is the largest index, in words, that is kept to work on.
const maxDraft = 1 << 16

// swift is the index of a text, nil where the fast way is not sure of it. ascii tells that the text has no other bytes.
func swift(text string) (index []node, ascii bool) {
	draft := drafts.Get().(*[]node)
	index, seen := swiftIndex(text, (*draft)[:0])
	kept := append([]node(nil), index...)
	if index != nil && cap(index) <= maxDraft {
		*draft = index
	}
	drafts.Put(draft)
	return kept, seen&highs == 0
}

// swiftIndex appends the index of a text to one that is empty; nil where it gives up. seen is what the words of all strings
// have in common with highs, at least where a byte of them is not ASCII.
func swiftIndex(text string, index []node) (_ []node, seen uint64) {
	var (
		pos, start, depth int
		parent            = -1 // the node of the innermost open container
		size              node // how many values it has so far
		isKey, inObject   bool
		escaped           node
		c                 byte
	)
value:
	for pos < len(text) && isSpace(text[pos]) {
		pos++
	}
	if pos >= len(text) {
		return nil, seen
	}
	start = pos
	switch c = text[pos]; {
	case c == '"':
		isKey = false
		goto str
	case c == '{' || c == '[':
		if depth++; depth > MaxDepth {
			return nil, seen
		}
		// Until it is closed, the second word of a container holds the one that it is in and the size of that one so far.
		kind := Array
		if inObject = c == '{'; inObject {
			kind = Object
		}
		index = append(index, newNode(kind, start, start), node(parent+1)<<32|size)
		parent, size = len(index)-2, 0
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
	case c == '-' || c-'0' <= 9:
		if pos = swiftNumber(text, pos); pos < 0 {
			return nil, seen
		}
		index = append(index, newNode(Number, start, pos))
	case c == 't' && pos+4 <= len(text) && text[pos:pos+4] == "true":
		pos += 4
		index = append(index, newNode(True, start, pos))
	case c == 'f' && pos+5 <= len(text) && text[pos:pos+5] == "false":
		pos += 5
		index = append(index, newNode(False, start, pos))
	case c == 'n' && pos+4 <= len(text) && text[pos:pos+4] == "null":
		pos += 4
		index = append(index, newNode(Null, start, pos))
	default:
		return nil, seen
	}

after: // a value has been read
	if parent < 0 {
		for pos < len(text) && isSpace(text[pos]) {
			pos++
		}
		if pos < len(text) {
			return nil, seen
		}
		return index, seen
	}
	size++
	for pos < len(text) && isSpace(text[pos]) {
		pos++
	}
	if pos >= len(text) {
		return nil, seen
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
		return nil, seen
	}

key:
	for pos < len(text) && isSpace(text[pos]) {
		pos++
	}
	if pos >= len(text) || text[pos] != '"' {
		return nil, seen
	}
	isKey = true

str: // a string begins at pos
	start = pos
	pos++
	escaped = 0
	for {
		for pos+8 <= len(text) {
			w := word(text, pos)
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
			return nil, seen
		}
	special:
		if text[pos] == '"' {
			break
		}
		if text[pos] != '\\' {
			return nil, seen
		}
		escaped = escapedNode
		if pos = swiftEscape(text, pos); pos < 0 {
			return nil, seen
		}
	}
	pos++
	index = append(index, newNode(String, start, pos)|escaped)
	if !isKey {
		goto after
	}
	for pos < len(text) && isSpace(text[pos]) {
		pos++
	}
	if pos >= len(text) || text[pos] != ':' {
		return nil, seen
	}
	pos++
	goto value

closing: // pos is at the end of the innermost container
	pos++
	depth--
	link := index[parent+1]
	index[parent] |= node(pos) - node(index[parent].start())
	index[parent+1] = node(len(index))<<32 | size
	parent, size = int(link>>32)-1, link&(1<<32-1)
	inObject = parent >= 0 && index[parent].kind() == Object
	goto after
}

func isSpace(c byte) bool { return c == ' ' || c == '\n' || c == '\r' || c == '\t' }

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

// littleEndian tells how this machine lays out words.
var littleEndian = binary.NativeEndian.Uint16([]byte{1, 0}) == 1

const (
	lows  = 0x0101010101010101
	highs = 0x8080808080808080
)

// specials marks the bytes of a word that do not stand for themselves in a string: quotes, backslashes and control characters.
// The lowest mark is certain; a borrow may blur those above it.
func specials(w uint64) uint64 {
	quote, slash := w^(lows*'"'), w^(lows*'\\')
	return ((quote-lows)&^quote | (slash-lows)&^slash | (w-lows*0x20)&^w) & highs
}

// word is eight bytes of text, which must be there, the first one lowest on every machine.
func word(text string, pos int) uint64 {
	w := *(*uint64)(unsafe.Add(unsafe.Pointer(unsafe.StringData(text)), pos))
	if !littleEndian {
		w = bits.ReverseBytes64(w)
	}
	return w
}
