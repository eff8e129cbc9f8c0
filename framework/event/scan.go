package event

import (
	"fmt"
	"slices"
	"sync"
	"unicode/utf8"
)

// parseText parses a text. It uses the fast scanner if the text is short and plainly valid, and otherwise the full scanner.
func parseText(text string) (Value, error) {
	doc, ascii := fastScan(text)
	if !ascii && !utf8.ValidString(text) {
		text, doc = string([]rune(text)), nil // each byte that is not valid UTF-8 becomes U+FFFD
	}
	if doc == nil {
		nodes, err := fullScan(text)
		if err != nil {
			return Value{}, err
		}
		doc = &document{text: text, outline: &outline{longNodes: nodes}}
	}
	return doc.valueOf(doc.root()), nil
}

// scanner validates a text and builds its index in one pass, without recursion. It is the reference implementation; the fast
// scanner accepts a subset of the same texts.
type scanner struct {
	text   string
	pos    int
	index  []node
	open   []openContainer // the containers that are not closed yet, outermost first
	values []node          // the keys and values read so far in the open containers
}

// maxKeptNodes is the number of nodes that the buffers of a pooled scanner have at most: for 1 MB of events.
const maxKeptNodes = 1 << 17

// scanners pools the buffers. What a scan returns is copied out of them.
var scanners = sync.Pool{New: func() any { return new(scanner) }}

// fullScan returns the index of a text.
func fullScan(text string) ([]node, error) {
	s := scanners.Get().(*scanner)
	*s = scanner{text: text, index: s.index[:0], open: s.open[:0], values: s.values[:0]}
	err := s.scanText()
	index := slices.Clone(s.index)
	if s.text = ""; cap(s.index)+cap(s.values) <= maxKeptNodes {
		scanners.Put(s)
	}
	return index, err
}

// openContainer is a container that is not closed yet: its kind, where its text starts, and the index of its first entry in values.
type openContainer struct {
	kind        Kind
	start, from int
}

func (s *scanner) syntaxError(message string) error {
	if s.pos >= len(s.text) {
		message = "unexpected end of the text"
	}
	return &SyntaxError{Offset: s.pos, Message: message}
}

// scanText scans one value and requires the end of the text after it.
func (s *scanner) scanText() error {
	for {
		s.skipSpace()
		opened, err := s.scanValue()
		if err != nil {
			return err
		}
		if opened {
			continue
		}
		done, err := s.scanSeparators()
		if err != nil {
			return err
		}
		if done {
			break
		}
	}
	s.skipSpace()
	if s.pos < len(s.text) {
		return s.syntaxError("unexpected text after the value")
	}
	s.index = append(s.index, s.values...)
	return nil
}

// scanValue scans one value. opened is true if the value is a container that is not closed yet. The next value is then inside it,
// and the key of that value has been read.
func (s *scanner) scanValue() (opened bool, err error) {
	if s.pos >= len(s.text) {
		return false, s.syntaxError("")
	}
	switch c := s.text[s.pos]; c {
	case '{', '[':
		return s.scanOpening(c)
	case '"':
		return false, s.scanString()
	case 't':
		return false, s.scanLiteral("true", True)
	case 'f':
		return false, s.scanLiteral("false", False)
	case 'n':
		return false, s.scanLiteral("null", Null)
	default:
		if c == '-' || c-'0' <= 9 {
			return false, s.scanNumber()
		}
		return false, s.syntaxError(unexpectedByte(c))
	}
}

const unquotedWord = "a word without quotes: texts are written in double quotes, and the only words are true, false and null"

// unexpectedByte says what is wrong with a value that begins with a byte.
func unexpectedByte(c byte) string {
	switch {
	case c|0x20 >= 'a' && c|0x20 <= 'z', c == '_':
		return unquotedWord
	case c == '.', c == '+':
		return "a number begins with a digit or a minus sign"
	case c == '}', c == ']', c == ',', c == ':':
		return fmt.Sprintf("a value is missing before %q", rune(c))
	case c == '\'':
		return "texts and keys are written in double quotes"
	}
	return fmt.Sprintf("unexpected %q", rune(c))
}

func (s *scanner) scanOpening(c byte) (opened bool, err error) {
	if len(s.open) == MaxDepth {
		return false, &SyntaxError{Offset: s.pos, Message: fmt.Sprintf("nested deeper than %d", MaxDepth)}
	}
	kind, closing := Array, byte(']')
	if c == '{' {
		kind, closing = Object, '}'
	}
	s.open = append(s.open, openContainer{kind, s.pos, len(s.values)})
	s.pos++
	s.skipSpace()
	if s.pos < len(s.text) && s.text[s.pos] == closing {
		s.closeContainer()
		return false, nil
	}
	if kind == Object {
		return true, s.scanKey()
	}
	return true, nil
}

// scanSeparators scans what may follow a value: commas and the ends of containers. done is true after the end of the outermost
// value.
func (s *scanner) scanSeparators() (done bool, err error) {
	for len(s.open) > 0 {
		inObject := s.open[len(s.open)-1].kind == Object
		s.skipSpace()
		if s.pos >= len(s.text) {
			return false, s.syntaxError("")
		}
		switch c := s.text[s.pos]; {
		case c == ',' && inObject:
			s.pos++
			s.skipSpace()
			return false, s.scanKey()
		case c == ',':
			s.pos++
			return false, nil
		case c == '}' && inObject, c == ']' && !inObject:
			s.closeContainer()
		case inObject:
			return false, s.syntaxError("expected a comma or } after a member")
		default:
			return false, s.syntaxError("expected a comma or ] after an item")
		}
	}
	return true, nil
}

// closeContainer closes the innermost container and moves its content to the index.
func (s *scanner) closeContainer() {
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

func (s *scanner) scanKey() error {
	if s.pos < len(s.text) && s.text[s.pos] == '}' {
		return s.syntaxError("there is a comma after the last member")
	}
	if s.pos >= len(s.text) || s.text[s.pos] != '"' {
		return s.syntaxError("expected a key in quotes")
	}
	if err := s.scanString(); err != nil {
		return err
	}
	s.skipSpace()
	if s.pos >= len(s.text) || s.text[s.pos] != ':' {
		return s.syntaxError("expected a colon after a key")
	}
	s.pos++
	return nil
}

func (s *scanner) skipSpace() {
	for s.pos < len(s.text) {
		if !isSpace(s.text[s.pos]) {
			return
		}
		s.pos++
	}
}

func (s *scanner) addScalar(kind Kind, start int) {
	s.values = append(s.values, newNode(kind, start, s.pos))
}

func (s *scanner) scanLiteral(word string, kind Kind) error {
	start := s.pos
	for i := range len(word) {
		if s.pos < len(s.text) && s.text[s.pos] != word[i] {
			s.pos = start
			return s.syntaxError(unquotedWord)
		}
		if s.pos >= len(s.text) {
			return s.syntaxError("")
		}
		s.pos++
	}
	s.addScalar(kind, start)
	return nil
}

func (s *scanner) scanString() error {
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
			if err := s.scanEscape(); err != nil {
				return err
			}
		case c < 0x20:
			return s.syntaxError(fmt.Sprintf("unescaped control character %#x in a string", c))
		default:
			s.pos++
		}
	}
	return s.syntaxError("")
}

func (s *scanner) scanEscape() error {
	s.pos++
	if s.pos >= len(s.text) {
		return s.syntaxError("")
	}
	switch s.text[s.pos] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		s.pos++
		return nil
	case 'u':
		s.pos++
		for range 4 {
			if s.pos >= len(s.text) || !isHex(s.text[s.pos]) {
				return s.syntaxError(`expected four hexadecimal digits after \u`)
			}
			s.pos++
		}
		return nil
	}
	return s.syntaxError(`unknown escape in a string`)
}

func isHex(c byte) bool {
	return c-'0' <= 9 || c|0x20 >= 'a' && c|0x20 <= 'f'
}

func (s *scanner) scanNumber() error {
	start := s.pos
	if s.text[s.pos] == '-' {
		s.pos++
	}
	if s.pos < len(s.text) && s.text[s.pos] == '0' {
		s.pos++
		if s.pos < len(s.text) && s.text[s.pos]-'0' <= 9 {
			return s.syntaxError("a number must not have a leading zero")
		}
	} else if s.scanDigits() == 0 {
		return s.syntaxError("expected a digit")
	}
	if s.pos < len(s.text) && s.text[s.pos] == '.' {
		s.pos++
		if s.scanDigits() == 0 {
			return s.syntaxError("expected a digit after the point")
		}
	}
	if s.pos < len(s.text) && s.text[s.pos]|0x20 == 'e' {
		s.pos++
		if s.pos < len(s.text) && (s.text[s.pos] == '+' || s.text[s.pos] == '-') {
			s.pos++
		}
		if s.scanDigits() == 0 {
			return s.syntaxError("expected a digit in the exponent")
		}
	}
	s.addScalar(Number, start)
	return nil
}

func (s *scanner) scanDigits() int {
	from := s.pos
	for s.pos < len(s.text) && s.text[s.pos]-'0' <= 9 {
		s.pos++
	}
	return s.pos - from
}
