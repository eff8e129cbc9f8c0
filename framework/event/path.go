package event

import (
	"strconv"
	"strings"
)

// Path is a compiled path such as $.context.traits['first name'] or products[0].price. The zero Path is the whole value.
type Path struct {
	text     string
	segments []segment
}

type segment struct {
	key   string
	index int // the index an array or string reads at, -1 where key is none
}

// MaxPathSegments is how many segments a path may have; what lies deeper than an event can be is absent anyhow.
const MaxPathSegments = MaxDepth + 8

// NewPath compiles a path; any text is one. A leading $. is optional. Segments are split at dots and at brackets that
// hold a digit or a quote; empty segments are dropped and the quotes round a bracketed key are stripped. Inside of
// ['…'] and ["…"] a key may hold dots and brackets.
func NewPath(text string) Path {
	rest := text
	if rest == "$" {
		rest = ""
	}
	rest = strings.TrimPrefix(rest, "$.")
	p := Path{text: text}
	start := 0
	for i := 0; i <= len(rest); i++ {
		if n := quotedKey(rest[i:]); n > 0 {
			p.add(rest[start:i])
			p.add(rest[i+1 : i+n-1])
			i += n - 1
			start = i + 1
		} else if i == len(rest) || splits(rest, i) {
			p.add(rest[start:i])
			start = i + 1
		}
	}
	return p
}

// quotedKey returns the length of the ['…'] or ["…"] that text begins with, 0 if it begins with none.
func quotedKey(text string) int {
	if len(text) < 2 || text[0] != '[' || !isQuote(text[1]) {
		return 0
	}
	end := strings.Index(text[2:], text[1:2]+"]")
	if end < 0 {
		return 0
	}
	return end + 4
}

// splits tells whether the byte at i divides two segments.
func splits(path string, i int) bool {
	switch path[i] {
	case '.':
		return true
	case '[':
		return i+1 < len(path) && opensIndex(path[i+1])
	case ']':
		return i > 0 && opensIndex(path[i-1])
	}
	return false
}

func opensIndex(c byte) bool { return c-'0' <= 9 || isQuote(c) }

func isQuote(c byte) bool { return c == '\'' || c == '"' }

// PathOf is the path of these keys, taken as they are.
func PathOf(keys ...string) Path {
	p := Path{text: strings.Join(keys, ".")}
	for _, key := range keys {
		p.segments = append(p.segments, segment{key, arrayIndex(key)})
	}
	return p
}

func (p *Path) add(key string) {
	if n := len(key); n >= 2 && isQuote(key[0]) && key[n-1] == key[0] {
		key = key[1 : n-1]
	}
	if key != "" && len(p.segments) < MaxPathSegments {
		p.segments = append(p.segments, segment{key, arrayIndex(key)})
	}
}

// arrayIndex is the array index that key writes, -1 where it writes none (01 and -1 do not).
func arrayIndex(key string) int {
	n, err := strconv.Atoi(key)
	if err != nil || n < 0 || len(key) > 1 && key[0] == '0' || key[0] == '+' {
		return -1
	}
	return n
}

// String is the path as it was written.
func (p Path) String() string { return p.text }

// Keys are the segments of the path.
func (p Path) Keys() []string {
	keys := make([]string, len(p.segments))
	for i, s := range p.segments {
		keys[i] = s.key
	}
	return keys
}

// Read is the value at the path in v; absent where there is none. As in JavaScript, a parent that counts as false is
// itself the value, arrays and strings have a length, and strings can be indexed.
func (p Path) Read(v Value) Value {
	first := 0
	if v.Kind() == Object && v.built() == nil {
		v, first = p.hop(v)
	}
	for i := first; i < len(p.segments); i++ {
		if v.Falsy() {
			return v
		}
		v = p.segments[i].step(v)
	}
	return v
}

// hop reads the segments of the path that lead through the objects of a document, and says how many they were.
func (p Path) hop(v Value) (Value, int) {
	d, n := v.doc(), v.node()
	for i := range p.segments {
		if n = d.find(n, p.segments[i].key); n.kind() != Object {
			return d.value(n), i + 1
		}
	}
	return d.value(n), len(p.segments)
}

func (s *segment) step(v Value) Value {
	switch v.Kind() {
	case Object:
		return v.Get(s.key)
	case Array:
		if s.key == "length" {
			return NewInt(int64(v.Len()))
		}
		return v.Index(s.index)
	case String:
		if s.key == "length" {
			return NewInt(int64(UTF16Len(v.Str())))
		}
		if s.index >= 0 {
			if c, ok := utf16At(v.Str(), s.index); ok {
				return NewString(c)
			}
		}
	}
	return Value{}
}

// At is the value at a JSON pointer (RFC 6901); absent where there is none.
func (v Value) At(pointer string) Value {
	for _, step := range PointerSteps(pointer) {
		if v.Kind() == Array {
			v = v.Index(arrayIndex(step))
		} else {
			v = v.Get(step)
		}
	}
	return v
}

// PointerSteps are the steps of a JSON pointer, unescaped.
func PointerSteps(pointer string) []string {
	steps := strings.Split(pointer, "/")[1:]
	for i := range steps {
		steps[i] = strings.NewReplacer("~1", "/", "~0", "~").Replace(steps[i])
	}
	return steps
}
