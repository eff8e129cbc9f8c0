package event

import (
	"strings"
	"unicode"
)

// IsWhiteSpace reports whether r is white space in ECMAScript: Unicode's spaces, line ends and the byte order mark, but
// not U+0085.
func IsWhiteSpace(r rune) bool { return r == '\ufeff' || r != '\u0085' && unicode.IsSpace(r) }

// TrimSpace returns s without the white space at its ends, as ECMAScript's trim does.
func TrimSpace(s string) string { return strings.TrimFunc(s, IsWhiteSpace) }
