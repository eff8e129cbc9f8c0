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
	if t, ok := readUTC(s); ok {
		return t, ""
	}
	if strings.HasSuffix(s, "Z") {
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

// readUTC reads the most common form of times, 2006-01-02T15:04:05.000Z, up to the 28th of a month. ok is false for any other.
func readUTC(s string) (t time.Time, ok bool) {
	const form = "0000-00-00T00:00:00.000Z"
	if len(s) != len(form) {
		return t, false
	}
	for i := range len(form) {
		if form[i] == '0' && !isDigit(s[i]) || form[i] != '0' && s[i] != form[i] {
			return t, false
		}
	}
	two := func(at int) int { return 10*int(s[at]-'0') + int(s[at+1]-'0') }
	month, day, hour, minute, second := two(5), two(8), two(11), two(14), two(17)
	if month < 1 || month > 12 || day < 1 || day > 28 || hour > 23 || minute > 59 || second > 59 {
		return t, false
	}
	millisecond := 10*two(20) + int(s[22]-'0')
	return time.Date(100*two(0)+two(2), time.Month(month), day, hour, minute, second, millisecond*int(time.Millisecond), time.UTC), true
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
