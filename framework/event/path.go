package event

import (
	"strconv"
	"strings"
)

// Path is a compiled path such as $.context.traits['first name'] or products[0].price. The zero Path selects the whole value.
type Path struct {
	text     string
	segments []segment
	cache    *pathCache // nil in the zero Path
}

type segment struct {
	key   string
	index int // index into an array or string, -1 if key is not a number
}

// MaxPathSegments is the maximum number of segments of a path. Later segments are dropped: an event is never that deep.
const MaxPathSegments = MaxDepth + 8

// NewPath compiles a path. Every text is a valid path. A leading $. is optional, as is $ before ['…']. The text is split at dots and at brackets that
// hold a digit or a quote. Empty segments are dropped, and the quotes around a key in brackets are removed. In ['…'] and ["…"] a
// key may hold dots and brackets.
func NewPath(text string) Path {
	rest := text
	if rest == "$" {
		rest = ""
	}
	rest = strings.TrimPrefix(rest, "$.")
	if strings.HasPrefix(rest, "$") && quotedKey(rest[1:]) > 0 {
		rest = rest[1:]
	}
	p := Path{text: text, cache: &pathCache{}}
	start := 0
	for i := 0; i <= len(rest); i++ {
		if n := quotedKey(rest[i:]); n > 0 {
			p.addSegment(rest[start:i])
			p.addSegment(rest[i+1 : i+n-1])
			i += n - 1
			start = i + 1
		} else if i == len(rest) || isSeparator(rest, i) {
			p.addSegment(rest[start:i])
			start = i + 1
		}
	}
	return p
}

// UnpairedBracket returns the first bracket of a path that has no partner, as in "products[" or "products]"; "" if there is none.
// Brackets within a quoted key do not count. Such a path compiles, with the bracket as part of a key.
func UnpairedBracket(path string) string {
	opened := false
	for i := 0; i < len(path); i++ {
		switch n := quotedKey(path[i:]); {
		case n > 0:
			i += n - 1
		case path[i] == '[' && opened:
			return "["
		case path[i] == '[':
			opened = true
		case path[i] == ']' && !opened:
			return "]"
		case path[i] == ']':
			opened = false
		}
	}
	if opened {
		return "["
	}
	return ""
}

// quotedKey returns the length of the ['…'] or ["…"] that text begins with, or 0 if it begins with neither.
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

// isSeparator reports whether the byte at i separates two segments.
func isSeparator(path string, i int) bool {
	switch path[i] {
	case '.':
		return true
	case '[':
		return i+1 < len(path) && isIndexStart(path[i+1])
	case ']':
		return i > 0 && isIndexStart(path[i-1])
	}
	return false
}

func isIndexStart(c byte) bool { return c-'0' <= 9 || isQuote(c) }

func isQuote(c byte) bool { return c == '\'' || c == '"' }

// PathOf returns the path with these keys, which are not parsed.
func PathOf(keys ...string) Path {
	p := Path{text: strings.Join(keys, "."), cache: &pathCache{}}
	for _, key := range keys {
		p.segments = append(p.segments, segment{key, arrayIndex(key)})
	}
	return p
}

func (p *Path) addSegment(key string) {
	if n := len(key); n >= 2 && isQuote(key[0]) && key[n-1] == key[0] {
		key = key[1 : n-1]
	}
	if key != "" && len(p.segments) < MaxPathSegments {
		p.segments = append(p.segments, segment{key, arrayIndex(key)})
	}
}

// arrayIndex returns the array index that key represents, or -1. Neither 01 nor -1 is an index.
func arrayIndex(key string) int {
	n, err := strconv.Atoi(key)
	if err != nil || n < 0 || len(key) > 1 && key[0] == '0' || key[0] == '+' {
		return -1
	}
	return n
}

// String returns the path as it was written.
func (p Path) String() string { return p.text }

// Keys returns the keys of the path's segments.
func (p Path) Keys() []string {
	keys := make([]string, len(p.segments))
	for i, s := range p.segments {
		keys[i] = s.key
	}
	return keys
}

// Read returns the value at the path in v, or the absent Value. As in JavaScript, arrays and strings have a length and strings can
// be indexed. A falsy parent is returned itself.
func (p Path) Read(v Value) Value {
	first := 0
	if v.Kind() == Object && v.built() == nil {
		v, first = p.readParsed(v)
	}
	for i := first; i < len(p.segments); i++ {
		if v.Falsy() {
			return v
		}
		v = p.segments[i].readFrom(v)
	}
	return v
}

// readParsed follows the path while it leads through objects of a document. It returns the value it reached and how many segments
// it followed.
func (p Path) readParsed(v Value) (Value, int) {
	d, n := v.doc(), v.node()
	outlined := p.cache != nil && d.outline != nil && d.shortNodes != nil && n == d.root()
	if outlined {
		if last := p.cache.last.Load(); last != nil && last.outline == d.outline {
			return d.valueOf(d.memberNode(last.at)), last.followed
		}
	}
	at, followed := 0, 0
	for followed < len(p.segments) && n.kind() == Object {
		at = d.findMember(n, p.segments[followed].key)
		n = d.memberNode(at)
		followed++
	}
	if outlined && followed > 0 {
		p.cache.store(pathPlace{d.outline, at, followed})
	}
	return d.valueOf(n), followed
}

func (s *segment) readFrom(v Value) Value {
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

// At returns the value at a JSON pointer (RFC 6901), or the absent Value.
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

// PointerSteps returns the unescaped steps of a JSON pointer.
func PointerSteps(pointer string) []string {
	steps := strings.Split(pointer, "/")[1:]
	for i := range steps {
		steps[i] = pointerEscapes.Replace(steps[i])
	}
	return steps
}

var pointerEscapes = strings.NewReplacer("~1", "/", "~0", "~")
