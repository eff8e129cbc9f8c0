package event

import (
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// value is the Value at a node.
func (d *document) value(at uint32) Value {
	n := d.index[at]
	switch kind := n.kind(); kind {
	case Number:
		return scalar(Number, d.of(at))
	case String:
		if n.escaped() {
			return escaped(d.text[n.start()+1 : n.end()-1])
		}
		return scalar(String, d.text[n.start()+1:n.end()-1])
	case Array, Object:
		return within(d, kind, at)
	default:
		return Value{meta: uint64(kind)}
	}
}

// of is the JSON of a node.
func (d *document) of(at uint32) string {
	n := d.index[at]
	return d.text[n.start():n.end()]
}

func (d *document) key(at uint32) string {
	n := d.index[at]
	text := d.text[n.start()+1 : n.end()-1]
	if n.escaped() {
		return unescape(text)
	}
	return text
}

func (d *document) isKey(at uint32, key string) bool {
	n := d.index[at]
	if n.escaped() {
		return d.key(at) == key
	}
	return int(n.length()) == len(key)+2 && d.text[n.start()+1:n.end()-1] == key
}

// find is the node of a key's last value in an object, 0 where it has none.
func (d *document) find(object uint32, key string) uint32 {
	found, index, end := uint32(0), d.index, d.end(object)
	plain := node(String)<<kindShift | node(len(key)+2)
	for at := object + 2; at < end; {
		n := index[at]
		if n&^(placeMask<<placeBits) == plain && d.text[n.start()+1:n.end()-1] == key || n.escaped() && d.key(at) == key {
			found = at + 1
		}
		if at++; index[at].container() {
			at = uint32(index[at+1] >> 32)
		} else {
			at++
		}
	}
	return found
}

// manyMembers is where finding keys that are written twice changes from comparing to a set.
const manyMembers = 24

func (d *document) members(object uint32, yield func(string, Value) bool) {
	last := d.lastOfKeys(object)
	end := d.end(object)
	for at := object + 2; at < end; at = d.after(at + 1) {
		key, from := d.key(at), at+1
		if last != nil {
			newest, ok := last[key]
			if !ok {
				continue
			}
			from = newest
			delete(last, key)
		}
		if !yield(key, d.value(from)) {
			return
		}
	}
}

// lastOfKeys maps each key to its last value where some key is written twice, and is nil where none is.
func (d *document) lastOfKeys(object uint32) map[string]uint32 {
	n, end := d.size(object), d.end(object)
	if n < 2 || n <= manyMembers && !d.hasTwins(object) {
		return nil
	}
	last := make(map[string]uint32, n)
	for at := object + 2; at < end; at = d.after(at + 1) {
		last[d.key(at)] = at + 1
	}
	if len(last) == n {
		return nil
	}
	return last
}

func (d *document) hasTwins(object uint32) bool {
	end := d.end(object)
	for at := object + 2; at < end; at = d.after(at + 1) {
		key := d.key(at)
		for later := d.after(at + 1); later < end; later = d.after(later + 1) {
			if d.isKey(later, key) {
				return true
			}
		}
	}
	return false
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
