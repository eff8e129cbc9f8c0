package fql

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/landfall-dev/landfall/framework/event"
)

// isPathRune reports whether a field path may contain the character without escaping it.
func isPathRune(r rune) bool {
	return r == '_' || r == '-' || unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.IsMark(r)
}

// isPathStart reports whether a character may begin a field path.
func isPathStart(r rune) bool {
	return r == '_' || r == '\\' || r == '$' || unicode.IsLetter(r)
}

// readPath reads a field path: names separated by dots, each optionally followed by indexes or quoted names in brackets.
func (l *lexer) readPath(t *token) error {
	t.kind = wordToken
	if l.peek() == '$' && !l.skipPrefix("$.") {
		return l.problemAt(l.pos, `a path that begins with $ continues with a dot, as in $.event (for the character itself, write \$)`)
	}
	for {
		key, err := l.readName()
		if err != nil {
			return err
		}
		t.keys = append(t.keys, key)
		if isKeyword := slices.Contains(keywords, l.text[t.offset:l.pos]); !isKeyword { // after "in" a bracket opens a list
			if err := l.readBrackets(t); err != nil {
				return err
			}
		}
		if len(t.keys) > event.MaxPathSegments {
			return l.problemAt(t.offset, "a field path has at most %d names", event.MaxPathSegments)
		}
		if !l.skipPrefix(".") {
			return nil
		}
	}
}

func (l *lexer) readName() (string, error) {
	var key strings.Builder
	for !l.atEnd() {
		if l.skipPrefix(`\`) {
			if l.atEnd() {
				return "", l.problemAt(l.pos, "a character is missing after the backslash")
			}
		} else if !isPathRune(l.peek()) {
			break
		}
		r := l.peek()
		l.pos += utf8.RuneLen(r)
		key.WriteRune(r)
	}
	if key.Len() == 0 {
		return "", l.problemAt(l.pos, "a name is missing in this field path")
	}
	return key.String(), nil
}

// readBrackets reads indexes and quoted names that follow a name directly: [0], ["first name"].
func (l *lexer) readBrackets(t *token) error {
	for l.skipPrefix("[") {
		at := l.pos
		var key string
		switch c := l.text[at:]; {
		case c != "" && (c[0] == '"' || c[0] == '\''):
			quoted := token{offset: at}
			if err := l.readString(&quoted); err != nil {
				return err
			}
			key = quoted.content
		default:
			for !l.atEnd() && l.peek() >= '0' && l.peek() <= '9' {
				l.pos++
			}
			key = l.text[at:l.pos]
		}
		if key == "" || !l.skipPrefix("]") {
			return l.problemAt(at, `brackets in a field path need an index or a quoted name, as in [0] or ["first name"]`)
		}
		t.keys = append(t.keys, key)
		if !l.atEnd() && (isPathRune(l.peek()) || l.peek() == '\\') {
			return l.problemAt(l.pos, "a dot is missing in this field path")
		}
	}
	return nil
}

// pathText returns a field path that is parsed as these keys.
func pathText(keys []string) string {
	if len(keys) == 1 && isReserved(keys[0]) {
		return `\` + keys[0]
	}
	var b strings.Builder
	for i, key := range keys {
		if i > 0 {
			b.WriteByte('.')
		}
		for j, r := range key {
			if !isPathRune(r) || i == 0 && j == 0 && !isPathStart(r) {
				b.WriteByte('\\')
			}
			b.WriteRune(r)
		}
	}
	return b.String()
}
