package liquid

import (
	"math"
	"strconv"
	"strings"

	"github.com/landfall-dev/landfall/framework/event"
)

// numberFilters count as JavaScript does, in floating point; what is no number is 0.
func numberFilters() map[string]filter {
	return map[string]filter{
		"abs": ofNumber(math.Abs), "ceil": ofNumber(math.Ceil), "floor": ofNumber(math.Floor), "round": round,
		"plus":     ofNumbers(func(a, b float64) float64 { return a + b }),
		"minus":    ofNumbers(func(a, b float64) float64 { return a - b }),
		"times":    ofNumbers(func(a, b float64) float64 { return a * b }),
		"modulo":   ofNumbers(modulo),
		"at_least": ofNumbers(math.Max), "at_most": ofNumbers(math.Min),
		"divided_by": divide,
		"to_integer": func(v event.Value, _ args) (event.Value, error) { return numeric(loose(v)), nil },
	}
}

func ofNumber(change func(float64) float64) filter {
	return func(v event.Value, _ args) (event.Value, error) { return numeric(change(number(v))), nil }
}

// ofNumbers is a filter of two numbers; without the second there is no number as a result.
func ofNumbers(join func(a, b float64) float64) filter {
	return func(v event.Value, a args) (event.Value, error) {
		if len(a.list) == 0 {
			return numeric(math.NaN()), nil
		}
		return numeric(join(number(v), number(a.at(0)))), nil
	}
}

// modulo has the sign of the divisor.
func modulo(a, b float64) float64 {
	m := math.Mod(a, b)
	if m != 0 && (m < 0) != (b < 0) {
		m += b
	}
	return m
}

// divide gives fractions: 7 by 2 is 3.5, unless a second argument asks for whole numbers.
func divide(v event.Value, a args) (event.Value, error) {
	quotient := number(v) / a.number(0, math.NaN())
	if truthy(a.at(1)) {
		quotient = math.Floor(quotient)
	}
	return numeric(quotient), nil
}

// round rounds the decimal digits that print, so that 1.005 to two places is 1.01, halves away from 0.
func round(v event.Value, a args) (event.Value, error) {
	n, places := number(v), a.whole(0, 0)
	const whole = 1 << 52 // a float64 from here on has no fraction
	scaled := shiftDecimal(math.Abs(n), places)
	if !(scaled < whole) {
		return numeric(n), nil
	}
	return numeric(math.Copysign(shiftDecimal(math.Floor(scaled+0.5), -places), n)), nil
}

// shiftDecimal moves the decimal point of a number.
func shiftDecimal(f float64, places int) float64 {
	mantissa, exponent, ok := strings.Cut(strconv.FormatFloat(f, 'e', -1, 64), "e")
	if !ok {
		return f
	}
	n, _ := strconv.Atoi(exponent)
	f, _ = strconv.ParseFloat(mantissa+"e"+strconv.Itoa(n+places), 64) // out of range is infinite or 0
	return f
}
