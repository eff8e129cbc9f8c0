package event

import (
	"fmt"
	"strings"
	"time"

	"github.com/landfall-dev/landfall/framework/fault"
)

// readWeekday skips the name of a weekday. It does not check whether the name fits the date.
func (p *timeText) readWeekday() {
	word := p.leadingWord()
	if !isNameOf(word, "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday") {
		return
	}
	rest := p.text[len(word):]
	p.text = strings.TrimLeft(strings.TrimPrefix(strings.TrimPrefix(rest, "."), ","), " ")
	if p.text == rest {
		p.fail(notDate(rest))
	}
}

func notDate(text string) string {
	return fmt.Sprintf("%q cannot be read as a date", fault.Shorten(text, maxShownTime))
}

// isNameOf reports whether word is one of the names, or an abbreviation of at least three letters of one.
func isNameOf(word string, names ...string) bool { return nameIndex(word, names) >= 0 }

func nameIndex(word string, names []string) int {
	for i, name := range names {
		if len(word) >= 3 && len(word) <= len(name) && strings.EqualFold(word, name[:len(word)]) {
			return i
		}
	}
	return -1
}

// readMonthName parses the name of a month, with an optional dot if it is abbreviated.
func (p *timeText) readMonthName() {
	word := p.leadingWord()
	for m := time.January; m <= time.December; m++ {
		if isNameOf(word, m.String()) {
			p.month = int(m)
			p.text = strings.TrimPrefix(p.text[len(word):], ".")
			return
		}
	}
	p.fail(notDate(p.text))
}

// readDate parses a date in any of the supported formats.
func (p *timeText) readDate() {
	digits := 0
	for digits < len(p.text) && isDigit(p.text[digits]) {
		digits++
	}
	switch digits {
	case 0:
		p.readMonthFirst()
	case 1, 2:
		p.readShortFirst(digits)
	case 4:
		p.iso = true
		p.year = p.readNumber(4, 4, "year")
		p.readYearFirst()
	case 8:
		p.iso = true
		p.year, p.month, p.day = p.readNumber(4, 4, "year"), p.readNumber(2, 2, "month"), p.readNumber(2, 2, "day")
	default:
		p.fail(notDate(p.text))
	}
}

// readYearFirst parses the rest of 2026, 2026-01, 2026-01-02, 2026/1/2, 2026-W01-5, 2026-002 and 2026-Jan-02.
func (p *timeText) readYearFirst() {
	if p.text == "" {
		p.dayless = true
		return
	}
	separator := p.text[:1]
	if !strings.Contains("-/. ", separator) {
		p.fail(notDate(p.text))
		return
	}
	p.text = p.text[1:]
	switch {
	case separator == "-" && (strings.HasPrefix(p.text, "W") || strings.HasPrefix(p.text, "w")):
		p.text = p.text[1:]
		p.readWeek()
	case separator == "-" && len(p.text) >= 3 && isDigits(p.text[:3]):
		p.readDayOfYear()
	case p.leadingWord() != "":
		p.readMonthName()
		if !p.cutPrefix(separator) {
			p.fail("its day is missing")
		}
		p.day = p.readNumber(1, 2, "day")
	default:
		p.month = p.readNumber(1, 2, "month")
		switch {
		case p.cutPrefix(separator):
			p.day = p.readNumber(1, 2, "day")
		case separator != "-" || p.text != "":
			p.fail("its day is missing")
		default:
			p.dayless = true
		}
	}
}

// readWeek parses an ISO 8601 week with an optional weekday, Monday by default.
func (p *timeText) readWeek() {
	week, weekday := p.readNumber(2, 2, "week"), 1
	if p.dayless = !p.cutPrefix("-"); !p.dayless {
		weekday = p.readNumber(1, 1, "weekday")
	}
	fourth := time.Date(p.year, 1, 4, 0, 0, 0, 0, time.UTC) // is always in the first week
	day := fourth.AddDate(0, 0, 7*(week-1)+weekday-(int(fourth.Weekday())+6)%7-1)
	if y, w := day.ISOWeek(); weekday < 1 || weekday > 7 || y != p.year || w != week {
		p.fail("there is no such week in the calendar")
	}
	p.year, p.month, p.day = day.Year(), int(day.Month()), day.Day()
}

func (p *timeText) readDayOfYear() {
	n := p.readNumber(1, 2, "day")*10 + p.readNumber(1, 1, "day")
	day := time.Date(p.year, 1, 1, 0, 0, 0, 0, time.UTC).AddDate(0, 0, n-1)
	if n == 0 || day.Year() != p.year {
		p.fail("there is no such day in the calendar")
	}
	p.month, p.day = int(day.Month()), day.Day()
}

// readShortFirst parses 1/2/2026 (month first) and 2 January 2026 (day first).
func (p *timeText) readShortFirst(digits int) {
	after := p.text[digits:]
	if len(after) > 1 && (after[0] == '/' || after[0] == '-') && isDigit(after[1]) {
		p.month = p.readNumber(1, 2, "month")
		p.text = p.text[1:]
		p.day = p.readNumber(1, 2, "day")
		if !p.cutPrefix(after[:1]) {
			p.fail("its year is missing")
		}
		p.readYear(4)
		return
	}
	p.day = p.readNumber(1, 2, "day")
	p.skipOrdinal()
	separator := ""
	if p.text != "" && strings.Contains(" -/.", p.text[:1]) {
		separator = p.text[:1]
		p.text = strings.TrimLeft(p.text[1:], " ")
	}
	p.readMonthName()
	p.text = strings.TrimPrefix(p.text, ",")
	if separator == "." {
		separator = " "
	}
	if separator != "" && !p.cutPrefix(separator) {
		p.fail("its year is missing")
	}
	p.skipSpaces()
	p.mail = true
	p.readYear(2)
}

// readMonthFirst parses January 2, 2026, and Jan 2 03:04:05 2026, in which the year comes last.
func (p *timeText) readMonthFirst() {
	p.readMonthName()
	if p.reason != "" {
		return
	}
	dashed := p.cutPrefix("-")
	p.skipSpaces()
	p.day = p.readNumber(1, 2, "day")
	p.skipOrdinal()
	if dashed && !p.cutPrefix("-") {
		p.fail("its year is missing")
	}
	rest := strings.TrimLeft(strings.TrimPrefix(p.text, ","), " ")
	if rest == p.text && !dashed {
		p.fail("its year is missing")
	}
	if hour := strings.IndexByte(rest, ':'); hour == 1 || hour == 2 {
		p.year = -1 // the year follows the time of day
		return
	}
	p.text = rest
	p.readYear(4)
}

// skipOrdinal skips the letters of 1st, 2nd, 3rd and 4th.
func (p *timeText) skipOrdinal() {
	switch word := p.leadingWord(); strings.ToLower(word) {
	case "st", "nd", "rd", "th":
		p.text = p.text[2:]
	}
}

// readYear parses a year. Two digits mean 1950 to 2049, and three digits count from 1900, as in RFC 2822.
func (p *timeText) readYear(minDigits int) {
	before := len(p.text)
	p.year = p.readNumber(minDigits, 4, "year")
	switch before - len(p.text) {
	case 2:
		if p.year += 1900; p.year < 1950 {
			p.year += 100
		}
	case 3:
		p.year += 1900
	}
	if p.text != "" && isDigit(p.text[0]) {
		p.fail("its year has too many digits")
	}
}
