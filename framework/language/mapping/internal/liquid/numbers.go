package liquid

import (
	"math"
	"strconv"
	"strings"

	"github.com/landfall-dev/landfall/framework/event"
)

// numberFilters returns the arithmetic filters. They calculate in floating point, as JavaScript does. A value that is not a number
// counts as 0.
func numberFilters() []filterEntry {
	return []filterEntry{
		{"abs", "", "the number without its sign", "-5 | abs", unaryFilter(math.Abs)},
		{"at_least", "number", "the larger number", "3 | at_least: 5", binaryFilter(math.Max)},
		{"at_most", "number", "the smaller number", "3 | at_most: 1", binaryFilter(math.Min)},
		{"ceil", "", "the number rounded up", "1.2 | ceil", unaryFilter(math.Ceil)},
		{"divided_by", "number, [integer]", "the quotient; rounded down if the second argument is true", "7 | divided_by: 2", divideFilter},
		{"floor", "", "the number rounded down", "1.8 | floor", unaryFilter(math.Floor)},
		{"minus", "number", "the difference", "5 | minus: 1", binaryFilter(func(a, b float64) float64 { return a - b })},
		{"modulo", "number", "the remainder of a division, with the sign of the divisor", "-7 | modulo: 4", binaryFilter(modulo)},
		{"plus", "number", "the sum", `"42" | plus: 1`, binaryFilter(func(a, b float64) float64 { return a + b })},
		{"round", "[places]", "the number rounded half away from zero", "1.005 | round: 2", roundFilter},
		{"times", "number", "the product", "25.5 | times: 2", binaryFilter(func(a, b float64) float64 { return a * b })},
		{"to_integer", "", "the value as a number, `NaN` if it is none", `"12" | to_integer`, func(v event.Value, _ args) (event.Value, error) { return numberValue(jsNumber(v)), nil }},
	}
}

func unaryFilter(change func(float64) float64) filter {
	return func(v event.Value, _ args) (event.Value, error) { return numberValue(change(toNumber(v))), nil }
}

// binaryFilter returns a filter of two numbers. Without an argument the result is NaN.
func binaryFilter(join func(a, b float64) float64) filter {
	return func(v event.Value, a args) (event.Value, error) {
		if len(a.list) == 0 {
			return numberValue(math.NaN()), nil
		}
		return numberValue(join(toNumber(v), toNumber(a.at(0)))), nil
	}
}

// modulo returns the remainder of a division with the sign of the divisor.
func modulo(a, b float64) float64 {
	return math.Mod(math.Mod(a, b)+b, b)
}

// divideFilter implements divided_by. It returns fractions, so 7 by 2 is 3.5, unless the second argument asks for integers.
func divideFilter(v event.Value, a args) (event.Value, error) {
	return binaryFilter(func(dividend, divisor float64) float64 {
		if toNumber(a.at(1)) != 0 {
			return math.Floor(dividend / divisor)
		}
		return dividend / divisor
	})(v, a)
}

// roundFilter rounds half away from zero, based on the decimal digits of the number: 1.005 rounded to two places is 1.01.
func roundFilter(v event.Value, a args) (event.Value, error) {
	n, places := toNumber(v), a.intArg(0, 0)
	const whole = 1 << 52 // a float64 of this size has no fraction
	scaled := shiftDecimal(math.Abs(n), places)
	if !(scaled < whole) {
		return numberValue(n), nil
	}
	return numberValue(math.Copysign(shiftDecimal(math.Floor(scaled+0.5), -places), n)), nil
}

// shiftDecimal moves the decimal point of a number by a number of places.
func shiftDecimal(f float64, places int) float64 {
	mantissa, exponent, ok := strings.Cut(strconv.FormatFloat(f, 'e', -1, 64), "e")
	if !ok {
		return f
	}
	n, _ := strconv.Atoi(exponent)
	f, _ = strconv.ParseFloat(mantissa+"e"+strconv.Itoa(n+places), 64) // out of range gives infinity or 0
	return f
}
