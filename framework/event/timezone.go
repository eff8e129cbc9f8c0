package event

import (
	"fmt"
	"strings"

	"github.com/landfall-dev/landfall/framework/fault"
)

// zoneHours are the named zones that are accepted, in hours east of UTC: UTC and those of RFC 2822. Other names are ambiguous or
// change their meaning with the season, so they are refused.
var zoneHours = map[string]int{
	"UT": 0, "UTC": 0, "GMT": 0, "Z": 0,
	"EST": -5, "EDT": -4, "CST": -6, "CDT": -5, "MST": -7, "MDT": -6, "PST": -8, "PDT": -7,
}

// readZone parses an optional zone after a time of day.
func (p *timeText) readZone() {
	rest := strings.TrimLeft(p.text, " ")
	if p.reason != "" || rest == "" {
		return
	}
	if isSign(rest[0]) {
		p.text = rest
		p.readOffset(2)
		p.skipZoneName()
		return
	}
	if p.year < 0 && isDigit(rest[0]) { // the year comes last
		return
	}
	before := p.text
	p.text = rest
	name := strings.ToUpper(p.leadingWord())
	hours, known := zoneHours[name]
	if !known && p.isMilitary(name) {
		known = true
	}
	if !known || name == "" {
		p.fail(unknownZone(rest))
		p.text = before
		return
	}
	p.text = rest[len(name):]
	p.offset = hours * 3600
	if p.text != "" && isSign(p.text[0]) && (name == "GMT" || name == "UTC") {
		p.readOffset(1)
	}
}

func unknownZone(rest string) string {
	return fmt.Sprintf("the zone %q is not known: write an offset such as +01:00", fault.Shorten(rest, maxShownTime))
}

// isMilitary reports whether name is one of the letters that RFC 822 defined incorrectly and RFC 2822 therefore reads as UTC. They
// are zones only in the dates of emails.
func (p *timeText) isMilitary(name string) bool {
	return p.mail && len(name) == 1 && name != "J"
}

func isSign(c byte) bool { return c == '+' || c == '-' }

// readOffset parses ±hh, ±hhmm, ±hh:mm or ±hh:mm:ss, and ±h if minDigits is 1.
func (p *timeText) readOffset(minDigits int) {
	sign := 1
	if p.text[0] == '-' {
		sign = -1
	}
	p.text = p.text[1:]
	hours := p.readNumber(minDigits, 2, "offset")
	minutes, seconds := 0, 0
	switch {
	case p.cutPrefix(":"):
		minutes = p.readNumber(2, 2, "offset")
		if p.cutPrefix(":") {
			seconds = p.readNumber(2, 2, "offset")
		}
	case p.text != "" && isDigit(p.text[0]):
		minutes = p.readNumber(2, 2, "offset")
	}
	if hours > 23 || minutes > 59 || seconds > 59 {
		p.fail("its offset is out of range")
	}
	p.offset = sign * (hours*3600 + minutes*60 + seconds)
}

// skipZoneName skips the zone name that Go, Ruby and others print after an offset. The offset counts.
func (p *timeText) skipZoneName() {
	rest := strings.TrimLeft(p.text, " ")
	if rest == p.text || rest == "" {
		return
	}
	name, after, _ := strings.Cut(rest, " ")
	sign := isSign(name[0]) && isDigits(name[1:]) && len(name) <= 5
	for i := range len(name) {
		if !isLetter(name[i]) && !sign {
			return
		}
	}
	if len(name) > 6 {
		return
	}
	p.text = after
	if after != "" {
		p.text = " " + after
	}
}
