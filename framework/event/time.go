package event

import (
	"fmt"
	"strings"
	"time"
)

// TimeError says why a value cannot be read as a time.
type TimeError struct {
	Text   string // the value, shortened
	Reason string // what is wrong with it
}

func (e *TimeError) Error() string { return fmt.Sprintf("%q is not a time: %s", e.Text, e.Reason) }

// maxTimeText bounds the text of a time, in bytes.
const maxTimeText = 120

// ParseTime reads a time from text, in any of the forms that TIMES.md lists. A time without a zone is in UTC, and so is the
// result. Neither the machine's zone nor its zone database has any influence.
func ParseTime(s string) (time.Time, bool) {
	t, reason := readTimeText(s)
	return t, reason == ""
}

// ReadTime reads a time from a string or a number. A number counts seconds, milliseconds, microseconds or nanoseconds since
// 1970, whichever gives a time between 1900 and 2100. The error is a *TimeError.
func ReadTime(v Value) (time.Time, error) {
	var t time.Time
	reason := ""
	switch v.Kind() {
	case String:
		t, reason = readTimeText(v.Str())
	case Number:
		t, reason = readEpoch(v.Digits())
	default:
		reason = "it should be a string or a number but is " + v.Kind().WithArticle()
	}
	if reason == "" {
		return t, nil
	}
	return time.Time{}, &TimeError{Text: shortTimeText(v.Text()), Reason: reason}
}

// shortTimeText cuts a text that is quoted in an error.
func shortTimeText(s string) string {
	const most = 64
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}

// readTimeText reads a time. The reason is "" if it can be read.
func readTimeText(s string) (t time.Time, reason string) {
	if strings.HasSuffix(s, "Z") { // the common form
		if t, err := time.ParseInLocation(time.RFC3339, s, time.UTC); err == nil {
			return inYears(t)
		}
	}
	if len(s) > maxTimeText {
		return time.Time{}, fmt.Sprintf("it is longer than %d bytes", maxTimeText)
	}
	trimmed := strings.TrimSpace(timeSpaces.Replace(s))
	if trimmed == "" {
		return time.Time{}, "it is empty"
	}
	if isDecimal(trimmed) {
		return readDigits(trimmed, len(trimmed) != len(s))
	}
	return readWrittenTime(trimmed)
}

// timeSpaces replaces the spaces and the minus sign of Unicode that programs print in times: ICU puts a narrow no-break space before AM
// and PM.
var timeSpaces = strings.NewReplacer("\u202f", " ", "\u00a0", " ", "\u2009", " ", "\u2212", "-", "\t", " ")

// inYears is a time in UTC if its year has four digits, as RFC 3339 demands.
func inYears(t time.Time) (time.Time, string) {
	t = t.UTC()
	if t.Year() < 0 || t.Year() > 9999 {
		return time.Time{}, "its year is not between 0000 and 9999 in UTC"
	}
	return t, ""
}
