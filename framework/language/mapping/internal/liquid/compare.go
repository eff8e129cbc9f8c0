package liquid

import (
	"math"
	"strconv"
	"strings"

	"github.com/landfall-dev/landfall/framework/event"
)

// comparison is ==, !=, <, <=, > or >=, with the results of JavaScript.
type comparison struct {
	op          string
	left, right node
}

func (n comparison) eval(s *scope) (event.Value, error) {
	left, right, err := evalBoth(s, n.left, n.right)
	if err != nil {
		return event.Value{}, err
	}
	switch n.op {
	case "==":
		return event.NewBool(n.isSame(left, right)), nil
	case "!=":
		return event.NewBool(!n.isSame(left, right)), nil
	}
	if isSpecial(n.left) || isSpecial(n.right) {
		return event.NewBool(false), nil
	}
	return event.NewBool(compareOrder(n.op, left, right)), nil
}

func isSpecial(n node) bool {
	_, is := n.(special)
	return is
}

// isSame evaluates ==. nil, empty and blank equal more than one value.
func (n comparison) isSame(left, right event.Value) bool {
	a, special1 := n.left.(special)
	b, special2 := n.right.(special)
	switch {
	case special1 && special2:
		return b == "nil" && a != "empty"
	case special1:
		return a.includes(right)
	case special2:
		return b.includes(left)
	}
	return equalValues(left, right)
}

// includes reports whether a value is nil, empty or blank, respectively.
func (n special) includes(v event.Value) bool {
	switch {
	case n == "nil":
		return !v.Exists()
	case v.Kind() == event.String:
		s := v.Str()
		return s == "" || n == "blank" && strings.TrimSpace(s) == ""
	case v.Kind() == event.Array, v.Kind() == event.Object:
		return v.Len() == 0
	}
	return n == "blank" && !isTruthy(v)
}

// equalValues compares two values: lists by their items, objects by their JSON.
func equalValues(a, b event.Value) bool {
	switch {
	case a.Kind() != b.Kind():
		return false
	case a.Kind() == event.Object:
		return a.Size() == b.Size() && a.JSON() == b.JSON()
	case a.Kind() != event.Array:
		return event.Equal(a, b)
	case a.Len() != b.Len():
		return false
	}
	others := listItems(b)
	for i, item := range a.Items() {
		if !equalValues(item, others[i]) {
			return false
		}
	}
	return true
}

// compareOrder compares two strings lexically, and any other values as numbers. Lists and objects are converted to strings.
func compareOrder(op string, left, right event.Value) bool {
	left, right = toPrimitive(left), toPrimitive(right)
	if left.IsString() && right.IsString() {
		return holdsOrder(op, strings.Compare(left.Str(), right.Str()))
	}
	a, b := jsNumber(left), jsNumber(right)
	switch {
	case math.IsNaN(a) || math.IsNaN(b):
		return false
	case a < b:
		return holdsOrder(op, -1)
	case a > b:
		return holdsOrder(op, 1)
	}
	return holdsOrder(op, 0)
}

// toPrimitive converts a value as JavaScript does before it compares order: a list becomes its items joined by commas, and an
// object becomes [object Object].
func toPrimitive(v event.Value) event.Value {
	switch v.Kind() {
	case event.Object:
		return event.NewString("[object Object]")
	case event.Array:
		parts := make([]string, 0, v.Len())
		for _, item := range v.Items() {
			parts = append(parts, toPrimitive(item).Text())
		}
		return event.NewString(strings.Join(parts, ","))
	}
	return v
}

func holdsOrder(op string, order int) bool {
	switch op {
	case "<":
		return order < 0
	case "<=":
		return order <= 0
	case ">":
		return order > 0
	}
	return order >= 0
}

// contains tests whether a text contains another text, or a list contains an item.
type contains struct{ left, right node }

func (n contains) eval(s *scope) (event.Value, error) {
	left, right, err := evalBoth(s, n.left, n.right)
	if err != nil {
		return event.Value{}, err
	}
	switch left.Kind() {
	case event.String:
		if sp, ok := n.right.(special); ok { // as in liquidjs, a text contains empty and blank but not nil
			return event.NewBool(sp != "nil"), nil
		}
		return event.NewBool(right.Exists() && strings.Contains(left.Str(), right.Text())), nil
	case event.Array:
		for _, item := range left.Items() {
			if (comparison{left: literal{item}, right: n.right}).isSame(item, right) {
				return event.NewBool(true), nil
			}
		}
	}
	return event.NewBool(false), nil
}

// jsNumber converts a value like JavaScript's Number. The result is NaN if it is not a number.
func jsNumber(v event.Value) float64 {
	switch v.Kind() {
	case event.Absent, event.Object:
		return math.NaN()
	case event.True:
		return 1
	case event.Number:
		return v.Float()
	case event.String:
		return parseNumber(v.Str())
	case event.Array:
		return parseNumber(v.Text())
	}
	return 0
}

// toNumber converts a value for calculations. A value that is not a number becomes 0.
func toNumber(v event.Value) float64 {
	if f := jsNumber(v); !math.IsNaN(f) {
		return f
	}
	return 0
}

// parseNumber parses a number like JavaScript: an empty text is 0, 0x10 is 16, and digits may not be separated by _.
func parseNumber(s string) float64 {
	s = strings.TrimSpace(s)
	switch unsigned := strings.TrimLeft(s, "+-"); {
	case s == "":
		return 0
	case unsigned == "Infinity":
		return math.Inf(1 - 2*strings.Count(s, "-"))
	case len(s) > 2 && s[0] == '0' && strings.ContainsRune("xXoObB", rune(s[1])) && !strings.Contains(s, "_"):
		if n, err := strconv.ParseUint(s, 0, 64); err == nil {
			return float64(n)
		}
		return math.NaN()
	case strings.ContainsAny(s, "_xXpPiInN"):
		return math.NaN()
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil && !math.IsInf(f, 0) {
		return math.NaN()
	}
	return f
}

// numberValue returns a number as a value, or as text if it is infinite or NaN.
func numberValue(f float64) event.Value {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return event.NewString(event.FormatFloat(f))
	}
	return event.NewFloat(f)
}
