package event

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// Bounds of a number of seconds, milliseconds, microseconds or nanoseconds: the years 1900 to 2100.
const (
	minEpoch = -2208988800 // 1900-01-01T00:00:00Z
	maxEpoch = 4133980800  // 2101-01-01T00:00:00Z, excluded
)

// longDigits is the minimum number of digits of a number of seconds that has a fraction, a plus sign or spaces around it. Nine
// digits mean 1973 or later. "1.5" and " 12 " are numbers, not times.
const longDigits = 9

// isDecimal reports whether a text is a number without an exponent.
func isDecimal(s string) bool {
	if s != "" && isSign(s[0]) {
		s = s[1:]
	}
	whole, fraction, dotted := strings.Cut(s, ".")
	return isDigits(whole) && (!dotted || isDigits(fraction))
}

func isDigits(s string) bool {
	for i := range len(s) {
		if !isDigit(s[i]) {
			return false
		}
	}
	return s != ""
}

func isDigit(c byte) bool { return c-'0' <= 9 }

// readDigits parses a numeric text: a year of 4 digits, a date of 8, a date and time of 14, and otherwise a count since 1970.
func readDigits(s string, spaced bool) (time.Time, string) {
	digits := isDigits(s)
	switch {
	case digits && len(s) == 4, digits && len(s) == 8:
		return readWrittenTime(s)
	case digits && len(s) == 14:
		if t, reason := readWrittenTime(s[:8] + "T" + s[8:]); reason == "" && t.Unix() >= minEpoch && t.Unix() < maxEpoch {
			return t, ""
		}
	}
	whole, _, _ := strings.Cut(strings.TrimPrefix(s, "-"), ".")
	plain := digits || isDigits(strings.TrimPrefix(s, "-"))
	if (!plain || spaced) && len(strings.TrimLeft(whole, "+")) < longDigits {
		return time.Time{}, "it is a number, and too short for a time"
	}
	return readEpoch(strings.TrimPrefix(s, "+"))
}

// epochUnits are the units of a count since 1970, coarsest first. The first unit that gives a plausible year is used.
var epochUnits = [...]struct {
	perSecond int64
	places    int // decimal places down to nanoseconds
}{{1, 9}, {1e3, 6}, {1e6, 3}, {1e9, 0}}

// readEpoch parses a JSON number as a count since 1970.
func readEpoch(number string) (time.Time, string) {
	const implausible = "no unit from seconds to nanoseconds since 1970 puts it between 1900 and 2100"
	if strings.ContainsAny(number, "eE") {
		f, err := strconv.ParseFloat(number, 64)
		if err != nil || math.Abs(f) > math.MaxInt64 {
			return time.Time{}, implausible
		}
		number = strconv.FormatFloat(f, 'f', -1, 64)
	}
	number, negative := strings.CutPrefix(number, "-")
	whole, fraction, _ := strings.Cut(number, ".")
	n, err := strconv.ParseInt(whole, 10, 64)
	if err != nil {
		return time.Time{}, implausible
	}
	sign := int64(1)
	if negative {
		sign = -1
	}
	for _, unit := range epochUnits {
		nanos := (n%unit.perSecond)*(1e9/unit.perSecond) + leadingDigits(fraction, unit.places)
		t := time.Unix(sign*(n/unit.perSecond), sign*nanos).UTC()
		if s := t.Unix(); s >= minEpoch && s < maxEpoch {
			return t, ""
		}
	}
	return time.Time{}, implausible
}

// leadingDigits returns the number formed by the first places digits, padded with zeros on the right.
func leadingDigits(digits string, places int) int64 {
	n := int64(0)
	for i := range places {
		n *= 10
		if i < len(digits) {
			n += int64(digits[i] - '0')
		}
	}
	return n
}
