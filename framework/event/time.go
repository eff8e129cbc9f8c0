package event

import (
	"fmt"
	"strings"
	"time"

	"github.com/landfall-dev/landfall/framework/fault"
)

// TimeError reports why a value is not a time.
type TimeError struct {
	Text   string // the value, shortened
	Reason string // what is wrong with it
}

func (e *TimeError) Error() string { return fmt.Sprintf("%q is not a time: %s", e.Text, e.Reason) }

// maxTimeText is the maximum length of a time's text in bytes.
const maxTimeText = 120

// ParseTime parses a time in any of the formats that TIMES.md lists. A time without a zone is in UTC. The result is in UTC. It does
// not depend on the machine's time zone or its zone database.
func ParseTime(s string) (time.Time, bool) {
	t, reason := readTimeText(s)
	return t, reason == ""
}

// ReadTime returns the time of a string or a number, in UTC. A number counts seconds, milliseconds, microseconds or nanoseconds
// since 1970; the coarsest unit that gives a year from 1900 to 2100 is used. The error is a *TimeError.
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
	return time.Time{}, &TimeError{Text: fault.Shorten(v.Text(), maxShownTime), Reason: reason}
}

// maxShownTime is how many characters of a text that is not a time an error shows.
const maxShownTime = 64

// readTimeText parses a time. reason is "" on success.
func readTimeText(s string) (t time.Time, reason string) {
	if strings.HasSuffix(s, "Z") { // the most common form
		if t, err := time.ParseInLocation(time.RFC3339, s, time.UTC); err == nil {
			return checkYear(t)
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

// timeSpaces replaces Unicode spaces and the Unicode minus sign, which some programs print in times. ICU, for example, prints a
// narrow no-break space before AM and PM.
var timeSpaces = strings.NewReplacer("\u202f", " ", "\u00a0", " ", "\u2009", " ", "\u2212", "-", "\t", " ")

// checkYear returns t in UTC. It refuses a year without exactly four digits, which RFC 3339 requires.
func checkYear(t time.Time) (time.Time, string) {
	t = t.UTC()
	if t.Year() < 0 || t.Year() > 9999 {
		return time.Time{}, "its year is not between 0000 and 9999 in UTC"
	}
	return t, ""
}
