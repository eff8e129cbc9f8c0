package liquid

import (
	"math"
	"strconv"
	"strings"

	"github.com/landfall-dev/landfall/framework/event"
)

// comparison is ==, !=, <, <=, > or >=, with the outcome it has in JavaScript.
type comparison struct {
	op          string
	left, right node
}

func (n comparison) eval(s *scope) (event.Value, error) {
	left, right, err := bothOf(s, n.left, n.right)
	if err != nil {
		return event.Value{}, err
	}
	switch n.op {
	case "==":
		return event.NewBool(n.same(left, right)), nil
	case "!=":
		return event.NewBool(!n.same(left, right)), nil
	}
	if isSpecial(n.left) || isSpecial(n.right) {
		return event.NewBool(false), nil
	}
	return event.NewBool(ordered(n.op, left, right)), nil
}

func isSpecial(n node) bool {
	_, is := n.(special)
	return is
}

// same is ==; nil, empty and blank hold for more than one value.
func (n comparison) same(left, right event.Value) bool {
	a, special1 := n.left.(special)
	b, special2 := n.right.(special)
	switch {
	case special1 && special2:
		return b == "nil" && a != "empty"
	case special1:
		return a.holds(right)
	case special2:
		return b.holds(left)
	}
	return equal(left, right)
}

// holds tells whether a value is nil, empty or blank.
func (n special) holds(v event.Value) bool {
	switch {
	case n == "nil":
		return !v.Exists()
	case v.Kind() == event.String:
		s := v.Str()
		return s == "" || n == "blank" && strings.TrimSpace(s) == ""
	case v.Kind() == event.Array, v.Kind() == event.Object:
		return v.Len() == 0
	}
	return n == "blank" && !truthy(v)
}

// equal compares two values: lists by their items, objects by their JSON.
func equal(a, b event.Value) bool {
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
	others := items(b)
	for i, item := range a.Items() {
		if !equal(item, others[i]) {
			return false
		}
	}
	return true
}

// ordered compares two strings by their letters, anything else as numbers. Lists and objects count as strings.
func ordered(op string, left, right event.Value) bool {
	left, right = primitive(left), primitive(right)
	if left.IsString() && right.IsString() {
		return holds(op, strings.Compare(left.Str(), right.Str()))
	}
	a, b := loose(left), loose(right)
	switch {
	case math.IsNaN(a) || math.IsNaN(b):
		return false
	case a < b:
		return holds(op, -1)
	case a > b:
		return holds(op, 1)
	}
	return holds(op, 0)
}

// primitive returns a value as JavaScript orders it: a list is its items with commas between, an object is [object Object].
func primitive(v event.Value) event.Value {
	switch v.Kind() {
	case event.Object:
		return event.NewString("[object Object]")
	case event.Array:
		parts := make([]string, 0, v.Len())
		for _, item := range v.Items() {
			parts = append(parts, primitive(item).Text())
		}
		return event.NewString(strings.Join(parts, ","))
	}
	return v
}

func holds(op string, order int) bool {
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

// contains tells whether a text holds another, or a list an item.
type contains struct{ left, right node }

func (n contains) eval(s *scope) (event.Value, error) {
	left, right, err := bothOf(s, n.left, n.right)
	if err != nil {
		return event.Value{}, err
	}
	switch left.Kind() {
	case event.String:
		if sp, ok := n.right.(special); ok { // empty and blank are no text
			return event.NewBool(sp != "nil"), nil
		}
		return event.NewBool(right.Exists() && strings.Contains(left.Str(), right.Text())), nil
	case event.Array:
		for _, item := range left.Items() {
			if (comparison{left: literal{item}, right: n.right}).same(item, right) {
				return event.NewBool(true), nil
			}
		}
	}
	return event.NewBool(false), nil
}

// loose is a value as a number, as JavaScript's Number takes it: NaN where it is none.
func loose(v event.Value) float64 {
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

// number is a value as filters count with it: 0 where it is no number.
func number(v event.Value) float64 {
	if f := loose(v); !math.IsNaN(f) {
		return f
	}
	return 0
}

// parseNumber reads a number as JavaScript does: nothing is 0, 0x10 is 16, and there are no digits with _ between.
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

// numeric is a number as a value.
func numeric(f float64) event.Value {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return event.NewString(event.FormatFloat(f))
	}
	return event.NewFloat(f)
}
