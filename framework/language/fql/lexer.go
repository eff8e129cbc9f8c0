package fql

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

type tokenKind uint8

const (
	endToken     tokenKind = iota
	wordToken              // a field path or the name of a function
	keywordToken           // one of the words in keywords
	textToken              // a quoted string
	numberToken
	symbolToken // = != > >= < <= ! ( ) [ ] ,
)

type token struct {
	kind    tokenKind
	offset  int      // offset of the first byte; for the end of the query, the end of the last token
	text    string   // the source text
	keys    []string // the segments of a path
	content string   // the content of a string
}

// is reports whether the token is the given keyword or symbol.
func (t token) is(text string) bool {
	return t.text == text && (t.kind == keywordToken || t.kind == symbolToken)
}

// isPlainWord reports whether the token is a path of one segment without escapes.
func (t token) isPlainWord() bool {
	return t.kind == wordToken && len(t.keys) == 1 && t.text == t.keys[0]
}

// isOperator reports whether the token compares two values.
func (t token) isOperator() bool {
	return t.is("in") || t.kind == symbolToken && strings.ContainsAny(t.text, "=<>")
}

func (t token) end() int { return t.offset + len(t.text) }

// String returns the token for use in a message.
func (t token) String() string {
	if t.kind == textToken {
		return t.display()
	}
	return `"` + t.display() + `"`
}

// maxDisplay is the maximum length of a token in a message, in characters.
const maxDisplay = 40

// display returns the source text of the token, truncated.
func (t token) display() string {
	runes := []rune(t.text)
	if len(runes) > maxDisplay {
		runes = append(runes[:maxDisplay:maxDisplay], '…')
	}
	return printable(runes)
}

// keywords cannot be used as field names, unless they are escaped: \in.
var keywords = []string{"and", "or", "in", "true", "false", "null"}

// isReserved reports whether a word is a keyword or easily mistaken for one, such as AND, True and not.
func isReserved(word string) bool {
	lower := strings.ToLower(word)
	return lower == "not" || slices.Contains(keywords, lower)
}

// commonMistakes are operators and quotes of other languages. Longer ones come first.
var commonMistakes = []struct{ wrong, right string }{
	{"===", "="}, {"==", "="}, {"!==", "!="}, {"<>", "!="}, {"=>", ">="}, {"=<", "<="}, {":", "="},
	{"≠", "!="}, {"≥", ">="}, {"≤", "<="}, {"&&", `"and"`}, {"&", `"and"`}, {"||", `"or"`}, {"|", `"or"`},
	{"“", straightQuotes}, {"”", straightQuotes}, {"„", straightQuotes}, {"‘", straightQuotes}, {"’", straightQuotes}, {"`", straightQuotes},
}

const straightQuotes = "straight quotes"

// symbols are the symbols of the language. Longer ones come first.
var symbols = []string{"!=", ">=", "<=", "=", ">", "<", "!", "(", ")", "[", "]", ","}

type lexer struct {
	text string
	pos  int
}

func (l *lexer) problemAt(at int, format string, args ...any) error {
	return newProblem(l.text, at, format, args...)
}

func (l *lexer) peek() rune {
	r, _ := utf8.DecodeRuneInString(l.text[l.pos:])
	return r
}

func (l *lexer) atEnd() bool { return l.pos == len(l.text) }

func (l *lexer) skipPrefix(prefix string) bool {
	if !strings.HasPrefix(l.text[l.pos:], prefix) {
		return false
	}
	l.pos += len(prefix)
	return true
}

// nextToken reads one token.
func (l *lexer) nextToken() (token, error) {
	last := l.pos
	l.pos = len(l.text) - len(strings.TrimLeftFunc(l.text[l.pos:], unicode.IsSpace))
	if l.atEnd() {
		return token{offset: last}, nil
	}
	t := token{offset: l.pos}
	var err error
	switch c := l.peek(); {
	case c == '"' || c == '\'':
		err = l.readString(&t)
	case c >= '0' && c <= '9' || c == '-' || c == '+':
		err = l.readNumber(&t)
	case isPathStart(c):
		err = l.readPath(&t)
	default:
		err = l.readSymbol(&t)
	}
	t.text = l.text[t.offset:l.pos]
	if t.kind == wordToken && slices.Contains(keywords, t.text) {
		t.kind = keywordToken
	}
	return t, err
}

func (l *lexer) readSymbol(t *token) error {
	for _, slip := range commonMistakes {
		if l.skipPrefix(slip.wrong) {
			return l.problemAt(t.offset, "write %s instead of %s", slip.right, slip.wrong)
		}
	}
	t.kind = symbolToken
	for _, s := range symbols {
		if l.skipPrefix(s) {
			return nil
		}
	}
	if l.skipPrefix(".") {
		return l.problemAt(t.offset, `unexpected ".": a number begins with a digit (0.5), a field path with a name`)
	}
	c := l.peek()
	if !unicode.IsPrint(c) {
		return l.problemAt(t.offset, "unexpected character %U", c)
	}
	return l.problemAt(t.offset, `unexpected "%c": in a field path write \%[1]c, and put text in quotes`, c)
}

func (l *lexer) readNumber(t *token) error {
	t.kind = numberToken
	n := scanNumber(l.text[l.pos:])
	l.pos += n
	if n == 0 || !l.atEnd() && (isPathRune(l.peek()) || l.peek() == '.') {
		return l.problemAt(t.offset, `this is not a number (to begin a field path with this character, write \%c)`, l.text[t.offset])
	}
	return nil
}

// readString reads a quoted string. A backslash escapes a quote or a backslash, and \n, \r and \t stand for control characters. A
// backslash before any other character is kept, so that patterns need no double escaping.
func (l *lexer) readString(t *token) error {
	t.kind = textToken
	quote := l.text[l.pos]
	l.pos++
	var b strings.Builder
	for !l.atEnd() {
		c := l.text[l.pos]
		l.pos++
		if c == quote {
			t.content = b.String()
			return nil
		}
		if c == '\\' && !l.atEnd() {
			if escaped, ok := unescape(l.text[l.pos]); ok {
				c = escaped
				l.pos++
			}
		}
		b.WriteByte(c)
	}
	return l.problemAt(t.offset, `this quote is never closed (inside text, write \%c)`, quote)
}

func unescape(c byte) (byte, bool) {
	switch c {
	case '"', '\'', '\\':
		return c, true
	case 'n':
		return '\n', true
	case 'r':
		return '\r', true
	case 't':
		return '\t', true
	}
	return 0, false
}
