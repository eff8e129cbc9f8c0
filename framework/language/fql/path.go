package fql

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/landfall-dev/landfall/framework/event"
)

// isPathRune tells whether a field path may hold a character that is not escaped.
func isPathRune(r rune) bool {
	return r == '_' || r == '-' || unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.IsMark(r)
}

// beginsPath tells whether a character begins a field path.
func beginsPath(r rune) bool {
	return r == '_' || r == '\\' || r == '$' || unicode.IsLetter(r)
}

// word reads a field path: names with dots between them, each with indexes or quoted names in brackets behind it.
func (l *lexer) word(t *token) error {
	t.kind = word
	if l.peek() == '$' && !l.accept("$.") {
		return l.fail(l.pos, `a path that begins with $ goes on with a dot, as in $.event (for the character write \$)`)
	}
	for {
		key, err := l.key()
		if err != nil {
			return err
		}
		t.keys = append(t.keys, key)
		if isKeyword := slices.Contains(keywords, l.text[t.at:l.pos]); !isKeyword { // after "in" a bracket opens a list
			if err := l.brackets(t); err != nil {
				return err
			}
		}
		if len(t.keys) > event.MaxPathSegments {
			return l.fail(t.at, "a field path has at most %d names", event.MaxPathSegments)
		}
		if !l.accept(".") {
			return nil
		}
	}
}

func (l *lexer) key() (string, error) {
	var key strings.Builder
	for !l.done() {
		if l.accept(`\`) {
			if l.done() {
				return "", l.fail(l.pos, "a character is missing after the backslash")
			}
		} else if !isPathRune(l.peek()) {
			break
		}
		r := l.peek()
		l.pos += utf8.RuneLen(r)
		key.WriteRune(r)
	}
	if key.Len() == 0 {
		return "", l.fail(l.pos, "a name is missing in this field path")
	}
	return key.String(), nil
}

// brackets reads what follows a name directly: [0], ["first name"].
func (l *lexer) brackets(t *token) error {
	for l.accept("[") {
		at := l.pos
		var key string
		switch c := l.text[at:]; {
		case c != "" && (c[0] == '"' || c[0] == '\''):
			quoted := token{at: at}
			if err := l.quoted(&quoted); err != nil {
				return err
			}
			key = quoted.content
		default:
			for !l.done() && l.peek() >= '0' && l.peek() <= '9' {
				l.pos++
			}
			key = l.text[at:l.pos]
		}
		if key == "" || !l.accept("]") {
			return l.fail(at, `a bracket in a field path holds an index or a name in quotes, as in [0] or ["first name"]`)
		}
		t.keys = append(t.keys, key)
		if !l.done() && (isPathRune(l.peek()) || l.peek() == '\\') {
			return l.fail(l.pos, "a dot is missing in this field path")
		}
	}
	return nil
}

// pathText writes a field path so that it is read as these keys.
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
			if !isPathRune(r) || i == 0 && j == 0 && !beginsPath(r) {
				b.WriteByte('\\')
			}
			b.WriteRune(r)
		}
	}
	return b.String()
}
