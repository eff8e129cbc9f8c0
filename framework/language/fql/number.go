package fql

import (
	"cmp"
	"strconv"
	"strings"

	"github.com/landfall-dev/landfall/framework/event"
)

// scanNumber returns the length of the number that text begins with, or 0. A sign, leading zeros, a fraction and an exponent are
// allowed.
func scanNumber(text string) int {
	digits := func(from int) int {
		for from < len(text) && text[from] >= '0' && text[from] <= '9' {
			from++
		}
		return from
	}
	from := 0
	if text != "" && (text[0] == '-' || text[0] == '+') {
		from = 1
	}
	pos := digits(from)
	if pos == from {
		return 0
	}
	if pos < len(text) && text[pos] == '.' && digits(pos+1) > pos+1 {
		pos = digits(pos + 1)
	}
	if pos < len(text) && text[pos]|0x20 == 'e' {
		from = pos + 1
		if from < len(text) && (text[from] == '-' || text[from] == '+') {
			from++
		}
		if digits(from) > from {
			pos = digits(from)
		}
	}
	return pos
}

// parseNumber parses a text that consists of a number. ok is false if it is not a number or exceeds the range of float64.
func parseNumber(text string) (v event.Value, ok bool) {
	if text == "" || scanNumber(text) != len(text) {
		return v, false
	}
	if _, err := strconv.ParseFloat(text, 64); err != nil {
		return v, false
	}
	sign := ""
	if text[0] == '-' {
		sign = "-"
	}
	digits := strings.TrimLeft(text, "+-0")
	if digits == "" || digits[0] < '0' || digits[0] > '9' {
		digits = "0" + digits
	}
	v, err := event.ParseString(sign + digits)
	return v, err == nil
}

// compareNumbers compares two JSON numbers by value. Integers are compared exactly, other numbers as float64.
func compareNumbers(a, b event.Value) int {
	x, y := a.Digits(), b.Digits()
	if isWhole(x) && isWhole(y) {
		return compareWhole(x, y)
	}
	return cmp.Compare(a.Float(), b.Float())
}

func isWhole(digits string) bool { return !strings.ContainsAny(digits, ".eE") }

func compareWhole(x, y string) int {
	x, below := strings.CutPrefix(x, "-")
	y, otherBelow := strings.CutPrefix(y, "-")
	switch {
	case x == "0" && y == "0":
		return 0
	case below && !otherBelow:
		return -1
	case otherBelow && !below:
		return 1
	case below:
		x, y = y, x
	}
	return cmp.Or(cmp.Compare(len(x), len(y)), strings.Compare(x, y))
}
