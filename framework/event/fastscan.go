package event

import (
	"strings"
	"sync"
)

// This file holds a fast scanner for texts of up to 64 KB. It builds the same index as scanner, but of shortNodes. It gives up on a
// text that may be invalid or contains something too long, and scanner then reads the text from the start. FuzzFastScan compares
// the two. The fast scanner differs in four ways: it finds the ends of strings by marks (marks.go), it keeps its state in local
// variables, it reuses its buffers, and it expects the keys of earlier texts (expected.go).

// fastScanner holds the buffers of a scan.
type fastScanner struct {
	index  []shortNode
	values []shortNode // content of the open containers so far
	leaves []shortNode // of a text with a known outline
	open   [MaxDepth]openShort
	marks  textMarks
	known  *outlines // that are expected
	learner
}

// openShort is a container that is not closed yet: where its text starts, and the index of its first entry in values.
type openShort struct{ start, from int32 }

// fastScanners pools the buffers. What a scan returns is copied out of them.
var fastScanners = sync.Pool{New: func() any { return &fastScanner{known: &learned} }}

// fastScan returns the document of a text, or nil if it gives up. ascii is true only if the text is known to be pure ASCII.
func fastScan(text string) (doc *document, ascii bool) {
	if len(text) > maxShort {
		return nil, false
	}
	d := fastScanners.Get().(*fastScanner)
	doc, ascii = d.scanText(text)
	fastScanners.Put(d)
	return doc, ascii
}

// scanText is fastScan with the buffers of d.
func (d *fastScanner) scanText(text string) (doc *document, ascii bool) {
	d.marks, ascii = d.marks.mark(text)
	d.index = d.index[:0]
	if found := d.scanLeaves(text); found != nil {
		d.hit(found)
		doc = newDocument(text, len(d.index)+len(d.leaves))
		doc.outline = found
		copy(doc.shortNodes[copy(doc.shortNodes, d.index):], d.leaves)
		return doc, ascii
	}
	d.index = d.index[:0]
	root, end, ok := d.scan(text, 0, MaxDepth)
	for ok && end < len(text) && isSpace(text[end]) {
		end++
	}
	if !ok || end < len(text) {
		return nil, false
	}
	d.index = append(d.index, root)
	if ascii && d.shouldLearn() {
		d.last = d.known.learn(text)
	}
	doc = newDocument(text, len(d.index))
	copy(doc.shortNodes, d.index)
	return doc, ascii
}

// scan scans the value at pos, whose containers are at most maxDepth deep, and appends its content to the index. It returns the value's node and
// where the value ends. ok is false if scan gives up.
func (d *fastScanner) scan(text string, pos, maxDepth int) (value shortNode, end int, ok bool) {
	var (
		start, depth    int
		values          = d.values[:0]
		isKey, inObject bool
		escaped         shortNode
		c               byte
	)
value:
	for pos < len(text) && isSpace(text[pos]) {
		pos++
	}
	if pos >= len(text) {
		return 0, 0, false
	}
	start = pos
	switch c = text[pos]; {
	case c == '"':
		isKey = false
		goto str
	case c == '{' || c == '[':
		if depth == maxDepth {
			return 0, 0, false
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
			return 0, 0, false
		}
		values = append(values, scalar)
		pos = end
	}

after: // a value has been scanned
	if depth == 0 {
		d.values = values
		return values[0], pos, true
	}
	for pos < len(text) && isSpace(text[pos]) {
		pos++
	}
	if pos >= len(text) {
		return 0, 0, false
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
		return 0, 0, false
	}

key:
	for pos < len(text) && isSpace(text[pos]) {
		pos++
	}
	if pos >= len(text) || text[pos] != '"' {
		return 0, 0, false
	}
	isKey = true

str: // a string starts at pos
	start = pos
	escaped = 0
	pos = d.marks.next(pos + 1)
	for pos < len(text) && text[pos] == '\\' {
		escaped = escapedNode
		if pos = fastEscape(text, pos); pos < 0 {
			return 0, 0, false
		}
		pos = d.marks.next(pos)
	}
	if pos >= len(text) || text[pos] != '"' {
		return 0, 0, false
	}
	pos++
	if pos-start > maxShortLength {
		return 0, 0, false
	}
	values = append(values, newShortNode(String, start, pos)|escaped)
	if !isKey {
		goto after
	}
	if pos >= len(text) || text[pos] != ':' {
		for pos < len(text) && isSpace(text[pos]) {
			pos++
		}
		if pos >= len(text) || text[pos] != ':' {
			return 0, 0, false
		}
	}
	pos++
	goto value

closing: // pos is at the end of the innermost container
	pos++
	depth--
	if values = d.closeContainer(values, depth, pos, inObject); values == nil {
		return 0, 0, false
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
