package event

import (
	"strconv"
	"strings"
	"time"
)

// layouts are the dates that people and programs write. A fraction of seconds is taken wherever there are seconds.
var layouts = []string{
	time.RFC3339,
	"2006-01-02T15:04:05Z0700", "2006-01-02T15:04:05", "2006-01-02T15:04Z07:00", "2006-01-02T15:04",
	"2006-01-02 15:04:05Z07:00", "2006-01-02 15:04:05 Z07:00", "2006-01-02 15:04:05 -0700", "2006-01-02 15:04:05 MST",
	"2006-01-02 15:04:05", "2006-01-02 15:04",
	"2006-01-02", "20060102", "20060102T150405Z0700", "20060102T150405", "2006-01", "2006-1-2", "2006/01/02", "2006/1/2",
	"2006/01/02 15:04:05", "2006/1/2 15:04:05",
	"Mon, 2 Jan 2006 15:04:05 -0700", "Mon, 2 Jan 2006 15:04:05 MST", "2 Jan 2006 15:04:05 -0700", "2 Jan 2006 15:04:05 MST",
	"Mon, 2 Jan 2006 15:04 -0700", "2 Jan 2006 15:04 -0700", "Mon, 02-Jan-06 15:04:05 MST", time.RFC850,
	time.ANSIC, time.UnixDate, time.RubyDate, "Mon Jan 2 2006 15:04:05 GMT-0700", "Mon Jan 2 2006",
	"01/02/2006", "1/2/2006", "01/02/2006 15:04:05", "1/2/2006 15:04:05", "1/2/2006 15:04", "1/2/2006 3:04 PM", "1/2/2006 3:04:05 PM", "01-02-2006",
	"January 2, 2006", "Jan 2, 2006", "January 2 2006", "Jan 2 2006", "2 January 2006", "2 Jan 2006", "02-Jan-2006",
	"January 2, 2006 15:04:05", "Jan 2, 2006 15:04:05", "January 2, 2006 3:04 PM", "Jan 2, 2006 3:04 PM",
}

// maxDate bounds the text of a date.
const maxDate = 80

// ParseTime reads a date: RFC 3339, ISO 8601, RFC 2822 and RFC 850, the dates of JavaScript and C, common written dates
// (month before day), and whole numbers as seconds since 1970, or as milliseconds where they have 13 digits. A date without
// a zone is in UTC.
func ParseTime(s string) (time.Time, bool) {
	if t, err := time.Parse(time.RFC3339, s); err == nil {
		return t, true
	}
	s = strings.TrimSpace(s)
	if s == "" || len(s) > maxDate {
		return time.Time{}, false
	}
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		if len(strings.TrimPrefix(s, "-")) == 13 {
			return time.UnixMilli(n).UTC(), true
		}
		return time.Unix(n, 0).UTC(), true
	}
	if i := strings.Index(s, " ("); i > 0 && strings.HasSuffix(s, ")") { // JavaScript names the zone once more
		s = s[:i]
	}
	for _, layout := range layouts {
		if t, err := time.Parse(layout, s); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}
