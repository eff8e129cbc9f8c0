package event

import (
	"fmt"
	"strings"
	"time"

	"github.com/landfall-dev/landfall/framework/fault"
)

// timeText parses a time from left to right. The first error is kept in reason.
type timeText struct {
	text string // the rest that is not parsed yet

	year, month, day           int
	hour, minute, second, nano int
	offset                     int // seconds east of UTC

	iso     bool // the date begins with its year in digits: T may follow
	mail    bool // the date has the form of an email (RFC 2822), with the day before the month's name; single letters are zones
	dayless bool // the date has no day: it is a month or a year
	reason  string
}

// readWrittenTime parses a date with an optional time of day and zone.
func readWrittenTime(s string) (time.Time, string) {
	p := &timeText{text: s, month: 1, day: 1}
	p.cutEnd()
	p.readWeekday()
	p.readDate()
	if p.reason == "" && p.text != "" {
		p.readRest()
	}
	if p.reason == "" && p.text != "" {
		p.fail(fmt.Sprintf("%q is left over at its end", fault.Shorten(p.text, maxShownTime)))
	}
	if p.reason != "" {
		return time.Time{}, p.reason
	}
	return p.toTime()
}

func (p *timeText) fail(reason string) {
	if p.reason == "" {
		p.reason = reason
	}
}

// cutEnd removes trailing text that programs print but that does not change the time: a zone name in parentheses (JavaScript,
// email), the monotonic clock (Go), and a zone in brackets after an offset (Java, RFC 9557).
func (p *timeText) cutEnd() {
	if i := strings.LastIndex(p.text, " ("); i > 0 && strings.HasSuffix(p.text, ")") {
		p.text = strings.TrimRight(p.text[:i], " ")
	}
	if i := strings.LastIndex(p.text, " m="); i > 0 && isMonotonic(p.text[i+3:]) {
		p.text = p.text[:i]
	}
	if i := strings.IndexByte(p.text, '['); i > 0 && strings.HasSuffix(p.text, "]") {
		if before := p.text[:i]; before[i-1] == 'Z' || before[i-1] == 'z' || isOffset(before[max(strings.LastIndexAny(before, "+-"), 0):]) {
			p.text = before
		}
	}
}

func isMonotonic(s string) bool {
	return s != "" && (s[0] == '+' || s[0] == '-') && isDecimal(s[1:])
}

func isOffset(s string) bool {
	return len(s) == 6 && (s[0] == '+' || s[0] == '-') && isDigits(s[1:3]) && s[3] == ':' && isDigits(s[4:])
}

// readRest parses what follows a date: a zone, or a time of day with a zone and, in the format of C's asctime, the year.
func (p *timeText) readRest() {
	if p.iso && !p.dayless && (p.text == "Z" || p.text == "z" || isOffset(p.text)) {
		p.readZone()
		return
	}
	if !p.readSeparator() {
		return
	}
	p.readClock()
	p.readZone()
	if p.year < 0 && p.reason == "" {
		p.skipSpaces()
		p.readYear(4)
	}
}

// readSeparator parses the separator between a date and a time of day.
func (p *timeText) readSeparator() bool {
	switch {
	case p.dayless:
		p.fail("a time of day needs a date with a day")
	case p.iso && (p.text[0] == 'T' || p.text[0] == 't'):
		p.text = p.text[1:]
		p.readShortClock()
		return false
	case p.mail && p.text[0] == ':': // the log format of a web server
		p.text = p.text[1:]
	default:
		rest := strings.TrimPrefix(p.text, ",")
		p.text = strings.TrimLeft(rest, " ")
		if p.text == rest {
			p.fail(fmt.Sprintf("%q cannot be read as a time of day", fault.Shorten(rest, maxShownTime)))
		}
		if len(p.text) > 3 && strings.EqualFold(p.text[:3], "at ") {
			p.text = strings.TrimLeft(p.text[3:], " ")
		}
	}
	return p.reason == ""
}

// readShortClock parses the time of day and the zone after a T. Minutes and colons are optional.
func (p *timeText) readShortClock() {
	n := 0
	for n < len(p.text) && isDigit(p.text[n]) {
		n++
	}
	if digits := p.text[:n]; n == 6 {
		p.text = digits[:2] + ":" + digits[2:4] + ":" + digits[4:] + p.text[n:]
	} else if n == 4 {
		p.text = digits[:2] + ":" + digits[2:] + p.text[n:]
	} else if n == 2 && !strings.HasPrefix(p.text[n:], ":") {
		p.text = digits + ":00" + p.text[n:]
	}
	p.readClock()
	p.readZone()
}

// readClock parses hours and minutes, then optional seconds with a fraction, and AM or PM.
func (p *timeText) readClock() {
	p.hour = p.readNumber(1, 2, "hour")
	if p.cutPrefix(":") {
		p.minute = p.readNumber(2, 2, "minute")
		if p.cutPrefix(":") {
			p.second = p.readNumber(2, 2, "second")
			if p.cutPrefix(".") || p.cutPrefix(",") {
				p.readFraction()
			}
		}
		p.readAMPM(false)
	} else {
		p.readAMPM(true)
	}
	switch {
	case p.minute > 59 || p.second > 60:
		p.fail("its minute or second is out of range")
	case p.hour > 24 || p.hour == 24 && (p.minute > 0 || p.second > 0 || p.nano > 0):
		p.fail("its hour is out of range")
	}
}

func (p *timeText) readFraction() {
	n := 0
	for n < len(p.text) && isDigit(p.text[n]) {
		n++
	}
	if n == 0 {
		p.fail("the fraction of its seconds has no digits")
	}
	p.nano = int(leadingDigits(p.text[:n], 9))
	p.text = p.text[n:]
}

// readAMPM parses AM or PM, which is required after an hour without minutes.
func (p *timeText) readAMPM(needed bool) {
	rest := strings.TrimLeft(p.text, " ")
	for _, half := range [...]struct {
		name string
		add  int
	}{{"a.m.", 0}, {"p.m.", 12}, {"am", 0}, {"pm", 12}} {
		n := len(half.name)
		if len(rest) < n || !strings.EqualFold(rest[:n], half.name) || len(rest) > n && isLetter(rest[n]) {
			continue
		}
		if p.hour < 1 || p.hour > 12 {
			p.fail("an hour with AM or PM should be from 1 to 12")
		}
		p.hour = p.hour%12 + half.add
		p.text = rest[n:]
		return
	}
	if needed {
		p.fail("its time of day has no minutes")
	}
}

// toTime returns the time that was parsed, if such a date exists.
func (p *timeText) toTime() (time.Time, string) {
	leap := p.second == 60
	if leap {
		p.second = 59
	}
	date := time.Date(p.year, time.Month(p.month), p.day, 0, 0, 0, 0, time.UTC)
	if date.Year() != p.year || int(date.Month()) != p.month || date.Day() != p.day {
		return time.Time{}, "there is no such day in the calendar"
	}
	t := date.Add(time.Duration(p.hour)*time.Hour + time.Duration(p.minute)*time.Minute + time.Duration(p.second-p.offset)*time.Second + time.Duration(p.nano))
	if leap {
		if t.Hour() != 23 || t.Minute() != 59 {
			return time.Time{}, "a second of 60 exists at 23:59:60 UTC only"
		}
		t = t.Truncate(time.Second).Add(time.Second) // the next day starts
	}
	return checkYear(t)
}

// cutPrefix removes a prefix and reports whether it was present.
func (p *timeText) cutPrefix(prefix string) bool {
	rest, ok := strings.CutPrefix(p.text, prefix)
	p.text = rest
	return ok
}

func (p *timeText) skipSpaces() { p.text = strings.TrimLeft(p.text, " ") }

// readNumber parses a number of minDigits to maxDigits digits.
func (p *timeText) readNumber(minDigits, maxDigits int, what string) int {
	n, i := 0, 0
	for i < len(p.text) && i < maxDigits && isDigit(p.text[i]) {
		n = n*10 + int(p.text[i]-'0')
		i++
	}
	if i < minDigits {
		p.fail("its " + what + " should have " + digitsText(minDigits, maxDigits))
	}
	p.text = p.text[i:]
	return n
}

func digitsText(minDigits, maxDigits int) string {
	switch {
	case minDigits != maxDigits:
		return "one or two digits"
	case maxDigits == 4:
		return "four digits"
	}
	return "two digits"
}

func isLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }

// leadingWord returns the letters at the beginning of the text.
func (p *timeText) leadingWord() string {
	i := 0
	for i < len(p.text) && isLetter(p.text[i]) {
		i++
	}
	return p.text[:i]
}
