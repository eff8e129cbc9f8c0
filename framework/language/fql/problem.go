package fql

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/landfall-dev/landfall/framework/fault"
)

// Number of characters that an excerpt shows before and after the position of a mistake.
const (
	excerptBefore = 60
	excerptAfter  = 40
)

// newProblem returns the error for a mistake at a byte offset of the text.
func newProblem(text string, at int, format string, args ...any) error {
	start := strings.LastIndexByte(text[:at], '\n') + 1
	line, _, _ := strings.Cut(text[start:], "\n")
	before := utf8.RuneCountInString(text[start:at])
	return fault.Problems{{
		Line:    1 + strings.Count(text[:start], "\n"),
		Column:  1 + before,
		Message: fmt.Sprintf(format, args...),
		Excerpt: excerpt([]rune(strings.TrimRight(line, "\r")), before),
	}}
}

// excerpt returns a line, truncated, and a caret under the character at an index.
func excerpt(line []rune, at int) string {
	if strings.TrimSpace(string(line)) == "" {
		return ""
	}
	at = min(at, len(line))
	if end := at + excerptAfter; end < len(line) {
		line = append(line[:end:end], '…')
	}
	if start := at - excerptBefore; start > 0 {
		line = append([]rune{'…'}, line[start:]...)
		at = excerptBefore + 1
	}
	margin := make([]rune, at)
	for i := range margin {
		margin[i] = ' '
		if line[i] == '\t' {
			margin[i] = '\t'
		}
	}
	return printable(line) + "\n" + string(margin) + "^"
}

// printable replaces characters that a terminal does not show as one character.
func printable(line []rune) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) || r == '\t' {
			return r
		}
		return utf8.RuneError
	}, string(line))
}
