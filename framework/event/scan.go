package event

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"unsafe"
)

// node is one value in the index of a document. The nodes of a container follow it in order: for an object its keys
// and values in turn.
type node struct {
	kind       Kind
	escaped    bool   // a string that holds escapes
	start, end uint32 // its bytes, quotes included
	next       uint32 // the node after this one and all that is inside it
	size       uint32 // members of an object, items of an array
}

// document is a text and its index.
type document struct {
	text  string
	nodes []node
}

// scanner validates a text and builds its index in one pass, without recursion.
type scanner struct {
	text  string
	pos   int
	nodes []node
	open  [MaxDepth]uint32 // nodes of the containers that are open
	depth int              // how many
}

func parseText(text string) (Value, error) {
	s := scanner{text: text, nodes: make([]node, 0, 8+len(text)/9)}
	if err := s.run(); err != nil {
		return Value{}, err
	}
	doc := &document{text: text, nodes: s.nodes}
	return doc.value(0), nil
}

func (s *scanner) fail(message string) error {
	if s.pos >= len(s.text) {
		message = "unexpected end of the text"
	}
	return &SyntaxError{Offset: s.pos, Message: message}
}

// run reads values until the outermost one is closed and nothing but white space is left.
func (s *scanner) run() error {
	for {
		s.space()
		opened, err := s.value()
		if err != nil {
			return err
		}
		if opened {
			continue
		}
		done, err := s.after()
		if err != nil {
			return err
		}
		if done {
			break
		}
	}
	s.space()
	if s.pos < len(s.text) {
		return s.fail("unexpected text after the value")
	}
	return nil
}

// value reads one value. It reports true when that opened a container which is not yet closed: the next value, whose
// key has been read already, is inside.
func (s *scanner) value() (opened bool, err error) {
	if s.pos >= len(s.text) {
		return false, s.fail("")
	}
	switch c := s.text[s.pos]; c {
	case '{', '[':
		return s.container(c)
	case '"':
		return false, s.string()
	case 't':
		return false, s.literal("true", True)
	case 'f':
		return false, s.literal("false", False)
	case 'n':
		return false, s.literal("null", Null)
	default:
		if c == '-' || c-'0' <= 9 {
			return false, s.number()
		}
		return false, s.fail(fmt.Sprintf("unexpected %q", rune(c)))
	}
}

func (s *scanner) container(c byte) (opened bool, err error) {
	if s.depth == MaxDepth {
		return false, &SyntaxError{Offset: s.pos, Message: fmt.Sprintf("nested deeper than %d", MaxDepth)}
	}
	kind, closing := Array, byte(']')
	if c == '{' {
		kind, closing = Object, '}'
	}
	s.nodes = append(s.nodes, node{kind: kind, start: uint32(s.pos)})
	s.open[s.depth] = uint32(len(s.nodes) - 1)
	s.depth++
	s.pos++
	s.space()
	if s.pos < len(s.text) && s.text[s.pos] == closing {
		s.close()
		return false, nil
	}
	if kind == Object {
		return true, s.key()
	}
	return true, nil
}

// after reads what may follow a value: commas and the ends of containers. It reports true after the outermost value.
func (s *scanner) after() (done bool, err error) {
	for s.depth > 0 {
		at := s.open[s.depth-1]
		s.nodes[at].size++
		s.space()
		if s.pos >= len(s.text) {
			return false, s.fail("")
		}
		inObject := s.nodes[at].kind == Object
		switch c := s.text[s.pos]; {
		case c == ',' && inObject:
			s.pos++
			s.space()
			return false, s.key()
		case c == ',':
			s.pos++
			return false, nil
		case c == '}' && inObject, c == ']' && !inObject:
			s.close()
		case inObject:
			return false, s.fail("expected a comma or } after a member")
		default:
			return false, s.fail("expected a comma or ] after an item")
		}
	}
	return true, nil
}

func (s *scanner) close() {
	s.pos++
	s.depth--
	n := &s.nodes[s.open[s.depth]]
	n.end, n.next = uint32(s.pos), uint32(len(s.nodes))
}

func (s *scanner) key() error {
	if s.pos >= len(s.text) || s.text[s.pos] != '"' {
		return s.fail("expected a key in quotes")
	}
	if err := s.string(); err != nil {
		return err
	}
	s.space()
	if s.pos >= len(s.text) || s.text[s.pos] != ':' {
		return s.fail("expected a colon after a key")
	}
	s.pos++
	return nil
}

func (s *scanner) space() {
	for s.pos < len(s.text) {
		switch s.text[s.pos] {
		case ' ', '\t', '\n', '\r':
			s.pos++
		default:
			return
		}
	}
}

func (s *scanner) add(kind Kind, start int, escaped bool) {
	s.nodes = append(s.nodes, node{
		kind: kind, escaped: escaped, start: uint32(start), end: uint32(s.pos), next: uint32(len(s.nodes) + 1),
	})
}

func (s *scanner) literal(word string, kind Kind) error {
	start := s.pos
	for i := range len(word) {
		if s.pos >= len(s.text) || s.text[s.pos] != word[i] {
			return s.fail("expected " + word)
		}
		s.pos++
	}
	s.add(kind, start, false)
	return nil
}

func (s *scanner) string() error {
	start, escaped := s.pos, false
	s.pos++
	for {
		s.plain()
		if s.pos >= len(s.text) {
			return s.fail("")
		}
		switch c := s.text[s.pos]; {
		case c == '"':
			s.pos++
			s.add(String, start, escaped)
			return nil
		case c == '\\':
			escaped = true
			if err := s.escape(); err != nil {
				return err
			}
		default:
			return s.fail(fmt.Sprintf("unescaped control character %#x in a string", c))
		}
	}
}

// littleEndian tells how this machine lays out words.
var littleEndian = binary.NativeEndian.Uint16([]byte{1, 0}) == 1

const (
	lows  = 0x0101010101010101
	highs = 0x8080808080808080
)

// plain skips the bytes of a string that stand for themselves, eight at a time: neither quote, backslash nor control.
func (s *scanner) plain() {
	text, pos := s.text, s.pos
	for pos+8 <= len(text) {
		w := word(text[pos:])
		quote, slash := w^(lows*'"'), w^(lows*'\\')
		special := ((quote-lows)&^quote | (slash-lows)&^slash | (w-lows*0x20)&^w) & highs
		if special != 0 {
			s.pos = pos + bits.TrailingZeros64(special)/8
			return
		}
		pos += 8
	}
	for pos < len(text) && text[pos] != '"' && text[pos] != '\\' && text[pos] >= 0x20 {
		pos++
	}
	s.pos = pos
}

// word is the first eight bytes of text, the first one lowest on every machine: what is found in the lowest byte is then
// certain, while a borrow may blur the bytes above it.
func word(text string) uint64 {
	w := *(*uint64)(unsafe.Pointer(unsafe.StringData(text)))
	if !littleEndian {
		w = bits.ReverseBytes64(w)
	}
	return w
}

func (s *scanner) escape() error {
	s.pos++
	if s.pos >= len(s.text) {
		return s.fail("")
	}
	switch s.text[s.pos] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		s.pos++
		return nil
	case 'u':
		s.pos++
		for range 4 {
			if s.pos >= len(s.text) || !isHex(s.text[s.pos]) {
				return s.fail(`expected four hexadecimal digits after \u`)
			}
			s.pos++
		}
		return nil
	}
	return s.fail(`unknown escape in a string`)
}

func isHex(c byte) bool {
	return c-'0' <= 9 || c|0x20 >= 'a' && c|0x20 <= 'f'
}

func (s *scanner) number() error {
	start := s.pos
	if s.text[s.pos] == '-' {
		s.pos++
	}
	if s.pos < len(s.text) && s.text[s.pos] == '0' {
		s.pos++
	} else if s.digits() == 0 {
		return s.fail("expected a digit")
	}
	if s.pos < len(s.text) && s.text[s.pos] == '.' {
		s.pos++
		if s.digits() == 0 {
			return s.fail("expected a digit after the point")
		}
	}
	if s.pos < len(s.text) && s.text[s.pos]|0x20 == 'e' {
		s.pos++
		if s.pos < len(s.text) && (s.text[s.pos] == '+' || s.text[s.pos] == '-') {
			s.pos++
		}
		if s.digits() == 0 {
			return s.fail("expected a digit in the exponent")
		}
	}
	s.add(Number, start, false)
	return nil
}

func (s *scanner) digits() int {
	from := s.pos
	for s.pos < len(s.text) && s.text[s.pos]-'0' <= 9 {
		s.pos++
	}
	return s.pos - from
}
