package event

import (
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// valueOf returns the Value of a node, or the absent Value for the zero node.
func (d *document) valueOf(n node) Value {
	switch kind := n.kind(); kind {
	case Number:
		return newScalar(Number, d.text[n.start():n.end()])
	case String:
		v := newScalar(String, d.text[n.start()+1:n.end()-1])
		v.meta |= uint64(n & escapedNode)
		return v
	case Array, Object:
		return parsedContainer(d, n)
	default:
		return Value{meta: uint64(kind)}
	}
}

func (d *document) keyText(n node) string {
	text := d.text[n.start()+1 : n.end()-1]
	if n.escaped() {
		return unescape(text)
	}
	return text
}

// keyAt returns the key at a position of the index.
func (d *document) keyAt(at int) string {
	if d.isOutlined(at) {
		return d.outline.entry(at).key
	}
	return d.keyText(d.node(at))
}

// memberNode returns the node at a position that findMember has returned; for 0 it is the zero node.
func (d *document) memberNode(at int) node {
	if at == 0 {
		return 0
	}
	return d.node(at)
}

// findMember returns the position in the index of the last value of a key in an object, or 0, which is never the position of a value of
// an object.
func (d *document) findMember(object node, key string) int {
	from, to := contentRange(object)
	switch {
	case d.isOutlined(from):
		return d.outline.findMember(from, to, key)
	case d.shortNodes != nil:
		return d.findMemberShort(from, to, key)
	}
	nodes := d.outline.longNodes
	for i := to - 2; i >= from; i -= 2 {
		if n := nodes[i]; n.escaped() {
			if d.keyText(n) == key {
				return i + 1
			}
		} else if n.length() == len(key)+2 && d.text[n.start()+1:n.end()-1] == key {
			return i + 1
		}
	}
	return 0
}

// findMemberShort is findMember for an index of shortNodes.
func (d *document) findMemberShort(from, to int, key string) int {
	if len(key)+2 > maxShortLength {
		return 0
	}
	plain := uint16(newShortNode(String, 0, len(key)+2))
	for i := to - 2; i >= from; i -= 2 {
		s := d.shortNodes[i]
		if uint16(s) == plain {
			if start := s.start() + 1; d.text[start:start+len(key)] == key {
				return i + 1
			}
		} else if s&escapedNode != 0 && d.keyText(d.node(i)) == key {
			return i + 1
		}
	}
	return 0
}

// manyMembers is the number of members above which duplicate keys are found with a map rather than by comparing pairs.
const manyMembers = 24

func (d *document) eachMember(object node, yield func(string, Value) bool) {
	last := d.lastValues(object)
	from, to := contentRange(object)
	for i := from; i < to; i += 2 {
		key, value := d.keyAt(i), d.node(i+1)
		if last != nil {
			newest, ok := last[key]
			if !ok {
				continue
			}
			value = newest
			delete(last, key)
		}
		if !yield(key, d.valueOf(value)) {
			return
		}
	}
}

// lastValues maps each key to its last value if the object has duplicate keys. It returns nil otherwise.
func (d *document) lastValues(object node) map[string]node {
	n := object.length()
	if d.isOutlined(object.start()) || n < 2 || n <= manyMembers && !d.hasDuplicateKeys(object) {
		return nil
	}
	from, to := contentRange(object)
	last := make(map[string]node, n)
	for i := from; i < to; i += 2 {
		last[d.keyText(d.node(i))] = d.node(i + 1)
	}
	if len(last) == n {
		return nil
	}
	return last
}

func (d *document) hasDuplicateKeys(object node) bool {
	from, to := contentRange(object)
	for i := from + 2; i < to; i += 2 {
		for j := from; j < i; j += 2 {
			if d.isSameKey(d.node(i), d.node(j)) {
				return true
			}
		}
	}
	return false
}

func (d *document) isSameKey(a, b node) bool {
	return (a.length() == b.length() || (a | b).escaped()) && d.keyText(a) == d.keyText(b)
}

// isCompact reports whether the text of a container is what AppendJSON writes for it: without spaces around values, escapes and repeated keys.
// It may return false for an object with many members.
func (d *document) isCompact(container node) bool {
	if d.isOutlined(container.start()) {
		return d.hasCompactLeaves(d.outline.entry(container.start() - 1))
	}
	if container.kind() == Object && (container.length() > manyMembers || d.hasDuplicateKeys(container)) {
		return false
	}
	text := d.textNode(container)
	at := text.start() + 1
	from, to := contentRange(container)
	for i := from; i < to; i++ {
		if i > from {
			at++ // a comma or a colon
		}
		n := d.node(i)
		within := n
		if n.kind() >= Array {
			within = d.textNode(n)
		}
		if within.start() != at || n.escaped() || n.kind() >= Array && !d.isCompact(n) {
			return false
		}
		at = within.end()
	}
	return at+1 == text.end()
}

// unescape decodes the escapes of a valid JSON string. Half a surrogate pair becomes U+FFFD.
func unescape(text string) string {
	var b strings.Builder
	b.Grow(len(text))
	for {
		i := strings.IndexByte(text, '\\')
		if i < 0 {
			b.WriteString(text)
			return b.String()
		}
		b.WriteString(text[:i])
		c := text[i+1]
		text = text[i+2:]
		switch c {
		case 'b':
			b.WriteByte('\b')
		case 'f':
			b.WriteByte('\f')
		case 'n':
			b.WriteByte('\n')
		case 'r':
			b.WriteByte('\r')
		case 't':
			b.WriteByte('\t')
		case 'u':
			var r rune
			r, text = unescapeRune(text)
			b.WriteRune(r)
		default:
			b.WriteByte(c)
		}
	}
}

// unescapeRune decodes the four digits after \u, and a second escape if the two form a surrogate pair.
func unescapeRune(text string) (r rune, rest string) {
	r, rest = parseHex4(text), text[4:]
	if !utf16.IsSurrogate(r) {
		return r, rest
	}
	if len(rest) >= 6 && rest[0] == '\\' && rest[1] == 'u' {
		if pair := utf16.DecodeRune(r, parseHex4(rest[2:])); pair != utf8.RuneError {
			return pair, rest[6:]
		}
	}
	return utf8.RuneError, rest
}

func parseHex4(text string) rune {
	var r rune
	for i := range 4 {
		c := text[i]
		if c <= '9' {
			r = r<<4 | rune(c-'0')
		} else {
			r = r<<4 | rune(c|0x20-'a'+10)
		}
	}
	return r
}
