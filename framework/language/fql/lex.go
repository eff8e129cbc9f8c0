package fql

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

type tokenKind uint8

const (
	end     tokenKind = iota
	word              // a field path, or the name of a function
	keyword           // and or in true false null
	text              // a string in quotes
	number
	symbol // = != > >= < <= ! ( ) [ ] ,
)

type token struct {
	kind    tokenKind
	at      int      // its first byte; for the end of the query, where the last token ends
	text    string   // as it is written
	keys    []string // the segments of a word
	content string   // of a string
}

// is tells whether the token is a keyword or symbol.
func (t token) is(text string) bool {
	return t.text == text && (t.kind == keyword || t.kind == symbol)
}

// plain tells whether the token is a word of one segment without escapes.
func (t token) plain() bool {
	return t.kind == word && len(t.keys) == 1 && t.text == t.keys[0]
}

// isOperator tells whether the token compares two values.
func (t token) isOperator() bool {
	return t.is("in") || t.kind == symbol && strings.ContainsAny(t.text, "=<>")
}

func (t token) end() int { return t.at + len(t.text) }

// String shows the token in a message.
func (t token) String() string {
	if t.kind == text {
		return t.shown()
	}
	return `"` + t.shown() + `"`
}

// maxShown is where a token is cut in a message, in characters.
const maxShown = 40

// shown is the token as it is written, cut where it is long.
func (t token) shown() string {
	runes := []rune(t.text)
	if len(runes) > maxShown {
		runes = append(runes[:maxShown:maxShown], '…')
	}
	return printable(runes)
}

// keywords cannot be the name of a field, unless it is escaped: \in.
var keywords = []string{"and", "or", "in", "true", "false", "null"}

// isReserved tells whether a word is a keyword, or is easily mistaken for one: AND, True, not.
func isReserved(word string) bool {
	lower := strings.ToLower(word)
	return lower == "not" || slices.Contains(keywords, lower)
}

// slips are what people write who come from other languages. Longer ones come first.
var slips = []struct{ wrong, right string }{
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

func (l *lexer) fail(at int, format string, args ...any) error {
	return problem(l.text, at, format, args...)
}

func (l *lexer) peek() rune {
	r, _ := utf8.DecodeRuneInString(l.text[l.pos:])
	return r
}

func (l *lexer) done() bool { return l.pos == len(l.text) }

func (l *lexer) accept(prefix string) bool {
	if !strings.HasPrefix(l.text[l.pos:], prefix) {
		return false
	}
	l.pos += len(prefix)
	return true
}

// next reads one token.
func (l *lexer) next() (token, error) {
	last := l.pos
	l.pos = len(l.text) - len(strings.TrimLeftFunc(l.text[l.pos:], unicode.IsSpace))
	if l.done() {
		return token{at: last}, nil
	}
	t := token{at: l.pos}
	var err error
	switch c := l.peek(); {
	case c == '"' || c == '\'':
		err = l.quoted(&t)
	case c >= '0' && c <= '9' || c == '-' || c == '+':
		err = l.number(&t)
	case beginsPath(c):
		err = l.word(&t)
	default:
		err = l.symbol(&t)
	}
	t.text = l.text[t.at:l.pos]
	if t.kind == word && slices.Contains(keywords, t.text) {
		t.kind = keyword
	}
	return t, err
}

func (l *lexer) symbol(t *token) error {
	for _, slip := range slips {
		if l.accept(slip.wrong) {
			return l.fail(t.at, "write %s instead of %s", slip.right, slip.wrong)
		}
	}
	t.kind = symbol
	for _, s := range symbols {
		if l.accept(s) {
			return nil
		}
	}
	if l.accept(".") {
		return l.fail(t.at, `unexpected ".": a number begins with a digit (0.5), a field path with a name`)
	}
	c := l.peek()
	if !unicode.IsPrint(c) {
		return l.fail(t.at, "unexpected character %U", c)
	}
	return l.fail(t.at, `unexpected "%c": in a field path write \%[1]c, and put text in quotes`, c)
}

func (l *lexer) number(t *token) error {
	t.kind = number
	n := scanNumber(l.text[l.pos:])
	l.pos += n
	if n == 0 || !l.done() && (isPathRune(l.peek()) || l.peek() == '.') {
		return l.fail(t.at, `this is no number (to begin a field path with this character write \%c)`, l.text[t.at])
	}
	return nil
}

// quoted reads a string. A backslash before a quote, a backslash or n, r, t makes the character it stands for; before
// anything else it stays, so that patterns can be written as they are.
func (l *lexer) quoted(t *token) error {
	t.kind = text
	quote := l.text[l.pos]
	l.pos++
	var b strings.Builder
	for !l.done() {
		c := l.text[l.pos]
		l.pos++
		if c == quote {
			t.content = b.String()
			return nil
		}
		if c == '\\' && !l.done() {
			if escaped, ok := unescape(l.text[l.pos]); ok {
				c = escaped
				l.pos++
			}
		}
		b.WriteByte(c)
	}
	return l.fail(t.at, `this quote is never closed (inside of text write \%c)`, quote)
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
