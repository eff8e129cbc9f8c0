package audiencesync

import (
	"errors"
	"strings"
	"unicode"
)

// CleanIdentifier returns an identifier without surrounding white space and invisible characters, which spreadsheets, web pages and joined
// files leave.
func CleanIdentifier(raw string) string { return strings.TrimFunc(raw, isBlank) }

// isBlank reports whether a character is white space, or invisible at the beginning and the end of a text.
func isBlank(c rune) bool { return unicode.IsSpace(c) || c > unicode.MaxASCII && isInvisible(c) }

// isInvisible reports whether a character shows nothing: a soft hyphen, a mark of the writing direction, a joiner, or a byte order mark.
func isInvisible(c rune) bool {
	switch {
	case c == '\u00AD', c == '\u061C', c >= '\u200B' && c <= '\u200F', c >= '\u202A' && c <= '\u202E', c >= '\u2060' && c <= '\u206F', c == '\uFEFF':
		return true
	}
	return false
}

var (
	errControl = errors.New("has a control character or a line break")
	errJoined  = errors.New("has a byte order mark inside: two files may have been joined without a line break between them")
	errLost    = errors.New("has the character U+FFFD, which replaces a character that was lost in a conversion")
	errFormula = errors.New(`is a formula of a spreadsheet, such as ="007": export the value instead, as text`)
)

// CheckIdentifier returns an error if a clean identifier is damaged. The error continues a sentence whose subject is the identifier.
func CheckIdentifier(value string) error {
	switch {
	case strings.ContainsFunc(value, isLineBreak):
		return errControl
	case strings.ContainsRune(value, '\uFEFF'):
		return errJoined
	case strings.ContainsRune(value, unicode.ReplacementChar):
		return errLost
	case strings.HasPrefix(value, `="`) && strings.HasSuffix(value[2:], `"`):
		return errFormula
	}
	return nil
}

// isLineBreak reports whether a character is a control character, or separates lines or paragraphs.
func isLineBreak(c rune) bool { return unicode.IsControl(c) || c == '\u2028' || c == '\u2029' }
