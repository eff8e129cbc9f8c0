package event

import (
	"fmt"
	"unicode/utf8"
)

// parseText reads a text: the fast way where it is short and plainly valid, else by the scanner.
func parseText(text string) (Value, error) {
	shorts, ascii := swift(text)
	if !ascii || shorts == nil {
		if !utf8.ValidString(text) {
			text, shorts = string([]rune(text)), nil // each byte that is not UTF-8 becomes U+FFFD
		}
	}
	doc := &document{text: text, shorts: shorts}
	if shorts == nil {
		s := scanner{text: text}
		if err := s.run(); err != nil {
			return Value{}, err
		}
		doc.nodes = &s.index
	}
	return doc.value(doc.root()), nil
}

// scanner validates a text and builds its index in one pass, without recursion. It is what a text means; swift reads the same
// texts faster.
type scanner struct {
	text   string
	pos    int
	index  []node
	open   []openContainer // the containers that are open
	values []node          // what they have so far: keys and values
}

// openContainer is what an open container is, where its text begins, and what it has so far: all values from one on.
type openContainer struct {
	kind        Kind
	start, from int
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
	s.index = append(s.index, s.values...)
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
	if len(s.open) == MaxDepth {
		return false, &SyntaxError{Offset: s.pos, Message: fmt.Sprintf("nested deeper than %d", MaxDepth)}
	}
	kind, closing := Array, byte(']')
	if c == '{' {
		kind, closing = Object, '}'
	}
	s.open = append(s.open, openContainer{kind, s.pos, len(s.values)})
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
	for len(s.open) > 0 {
		inObject := s.open[len(s.open)-1].kind == Object
		s.space()
		if s.pos >= len(s.text) {
			return false, s.fail("")
		}
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

// close ends the innermost container: what is inside moves to the index.
func (s *scanner) close() {
	s.pos++
	last := len(s.open) - 1
	in := s.open[last]
	s.open = s.open[:last]
	inside := s.values[in.from:]
	s.index = append(append(s.index, newNode(Absent, in.start, s.pos)), inside...)
	first, size := len(s.index)-len(inside), len(inside)
	if in.kind == Object {
		size /= 2
	}
	s.values = append(s.values[:in.from], newNode(in.kind, first, first+size))
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
		if !isSpace(s.text[s.pos]) {
			return
		}
		s.pos++
	}
}

func (s *scanner) add(kind Kind, start int) {
	s.values = append(s.values, newNode(kind, start, s.pos))
}

func (s *scanner) literal(word string, kind Kind) error {
	start := s.pos
	for i := range len(word) {
		if s.pos >= len(s.text) || s.text[s.pos] != word[i] {
			return s.fail("expected " + word)
		}
		s.pos++
	}
	s.add(kind, start)
	return nil
}

func (s *scanner) string() error {
	start, escaped := s.pos, node(0)
	s.pos++
	for s.pos < len(s.text) {
		switch c := s.text[s.pos]; {
		case c == '"':
			s.pos++
			s.values = append(s.values, newNode(String, start, s.pos)|escaped)
			return nil
		case c == '\\':
			escaped = escapedNode
			if err := s.escape(); err != nil {
				return err
			}
		case c < 0x20:
			return s.fail(fmt.Sprintf("unescaped control character %#x in a string", c))
		default:
			s.pos++
		}
	}
	return s.fail("")
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
	s.add(Number, start)
	return nil
}

func (s *scanner) digits() int {
	from := s.pos
	for s.pos < len(s.text) && s.text[s.pos]-'0' <= 9 {
		s.pos++
	}
	return s.pos - from
}
