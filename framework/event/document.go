package event

import (
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// value is the Value of a node; Absent for none.
func (d *document) value(n node) Value {
	switch kind := n.kind(); kind {
	case Number:
		return scalar(Number, d.text[n.place():n.end()])
	case String:
		v := scalar(String, d.text[n.place()+1:n.end()-1])
		v.meta |= uint64(n & escapedNode)
		return v
	case Array, Object:
		return within(d, n)
	default:
		return Value{meta: uint64(kind)}
	}
}

func (d *document) key(n node) string {
	text := d.text[n.place()+1 : n.end()-1]
	if n.escaped() {
		return unescape(text)
	}
	return text
}

// find is a key's last value in an object, 0 where it has none.
func (d *document) find(object node, key string) node {
	from, to := inside(object)
	if d.shorts != nil {
		return d.findShort(from, to, key)
	}
	for i := to - 2; i >= from; i -= 2 {
		if d.key(d.node(i)) == key {
			return d.node(i + 1)
		}
	}
	return 0
}

// findShort is find in an index of shorts.
func (d *document) findShort(from, to int, key string) node {
	if len(key)+2 > maxShortLength {
		return 0
	}
	plain := uint16(newShort(String, 0, len(key)+2))
	for i := to - 2; i >= from; i -= 2 {
		s := d.shorts[i]
		if uint16(s) == plain {
			if start := s.place() + 1; d.text[start:start+len(key)] == key {
				return d.node(i + 1)
			}
		} else if s&escapedNode != 0 && d.key(d.node(i)) == key {
			return d.node(i + 1)
		}
	}
	return 0
}

// manyMembers is where finding keys that are written twice changes from comparing to a set.
const manyMembers = 24

func (d *document) members(object node, yield func(string, Value) bool) {
	last := d.lastOfKeys(object)
	from, to := inside(object)
	for i := from; i < to; i += 2 {
		key, value := d.key(d.node(i)), d.node(i+1)
		if last != nil {
			newest, ok := last[key]
			if !ok {
				continue
			}
			value = newest
			delete(last, key)
		}
		if !yield(key, d.value(value)) {
			return
		}
	}
}

// lastOfKeys maps each key to its last value where some key is written twice, and is nil where none is.
func (d *document) lastOfKeys(object node) map[string]node {
	n := object.length()
	if n < 2 || n <= manyMembers && !d.hasTwins(object) {
		return nil
	}
	from, to := inside(object)
	last := make(map[string]node, n)
	for i := from; i < to; i += 2 {
		last[d.key(d.node(i))] = d.node(i + 1)
	}
	if len(last) == n {
		return nil
	}
	return last
}

func (d *document) hasTwins(object node) bool {
	from, to := inside(object)
	for i := from + 2; i < to; i += 2 {
		for j := from; j < i; j += 2 {
			if d.sameKey(d.node(i), d.node(j)) {
				return true
			}
		}
	}
	return false
}

func (d *document) sameKey(a, b node) bool {
	return (a.length() == b.length() || (a | b).escaped()) && d.key(a) == d.key(b)
}

// unescape decodes the escapes of a JSON string that has been validated. Half a surrogate pair becomes U+FFFD.
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

// unescapeRune reads the four digits after \u, and the second half of a pair where there is one.
func unescapeRune(text string) (r rune, rest string) {
	r, rest = hex4(text), text[4:]
	if !utf16.IsSurrogate(r) {
		return r, rest
	}
	if len(rest) >= 6 && rest[0] == '\\' && rest[1] == 'u' {
		if pair := utf16.DecodeRune(r, hex4(rest[2:])); pair != utf8.RuneError {
			return pair, rest[6:]
		}
	}
	return utf8.RuneError, rest
}

func hex4(text string) rune {
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
