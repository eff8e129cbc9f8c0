package liquid

import (
	"fmt"
	"strconv"

	"github.com/landfall-dev/landfall/framework/event"
)

// node is a part of a compiled expression. Numbers that JSON cannot represent, such as Infinity, are texts.
type node interface {
	eval(s *scope) (event.Value, error)
}

type literal struct{ v event.Value }

func (n literal) eval(*scope) (event.Value, error) { return n.v, nil }

// special is nil, empty or blank. They have a special meaning in comparisons only; elsewhere, empty and blank are an empty text.
type special string

func (n special) eval(*scope) (event.Value, error) {
	if n == "nil" {
		return event.NewNull(), nil
	}
	return event.NewString(""), nil
}

type variable struct{ name string }

func (n variable) eval(s *scope) (event.Value, error) { return s.lookup(n.name), nil }

// root is the event, from which a key in brackets at the start of an expression is read.
type root struct{}

func (root) eval(s *scope) (event.Value, error) { return s.event, nil }

// member is a property of a value.
type member struct{ of, key node }

func (n member) eval(s *scope) (event.Value, error) {
	of, err := n.of.eval(s)
	if err != nil {
		return event.Value{}, err
	}
	key, err := n.key.eval(s)
	if err != nil || !key.Exists() || key.Kind() >= event.Array {
		return event.Value{}, err
	}
	name := printText(key)
	if _, top := n.of.(root); top {
		return s.lookup(name), nil
	}
	return property(of, name), nil
}

// property returns a member of an object, an item of an array, a character of a string, or the first, last, size and length of
// these. Members of null are null.
func property(of event.Value, name string) event.Value {
	switch of.Kind() {
	case event.Null:
		return of
	case event.Object:
		if v := of.Get(name); name != "size" || v.Kind() != event.Absent {
			return v
		}
		return event.NewInt(int64(of.Len()))
	case event.Array:
		return itemProperty(of, name)
	case event.String:
		return textProperty(of, name)
	}
	return event.Value{}
}

func textProperty(text event.Value, name string) event.Value {
	switch {
	case name == "size" || name == "length":
		return event.NewInt(int64(event.UTF16Len(text.Str())))
	case text.Str() == "": // a path would return the text itself
		return event.Value{}
	}
	return event.PathOf(name).Read(text)
}

func itemProperty(list event.Value, name string) event.Value {
	switch name {
	case "first":
		return list.Index(0)
	case "last":
		return list.Index(list.Len() - 1)
	case "size", "length":
		return event.NewInt(int64(list.Len()))
	}
	i, err := strconv.Atoi(name)
	if err != nil {
		return event.Value{}
	}
	if i < 0 {
		i += list.Len()
	}
	return list.Index(i)
}

// numberRange is a range of integers.
type numberRange struct{ from, to node }

func (n numberRange) eval(s *scope) (event.Value, error) {
	from, err := n.from.eval(s)
	if err != nil {
		return event.Value{}, err
	}
	to, err := n.to.eval(s)
	if err != nil {
		return event.Value{}, err
	}
	first, last := toNumber(from), toNumber(to)
	if last-first >= MaxItems {
		return event.Value{}, errTooMany
	}
	var items []event.Value
	for x := first; x <= last; x++ {
		items = append(items, numberValue(x))
		if len(items) > MaxItems { // beyond 2^53, x++ does not change x
			return event.Value{}, errTooMany
		}
	}
	v := event.NewArray(items)
	return v, s.countWork(v)
}

// filtered is a filter applied to a value.
type filtered struct {
	name       string
	input      node
	apply      filter
	args       []node
	allowFalse node
}

// orInput returns the input if the filter is unknown.
func (n *filtered) orInput() node {
	if n.apply == nil {
		return n.input
	}
	return n
}

func (n *filtered) eval(s *scope) (event.Value, error) {
	input, err := n.input.eval(s)
	if err != nil {
		return event.Value{}, err
	}
	a := args{}
	for _, arg := range n.args {
		v, err := arg.eval(s)
		if err != nil {
			return event.Value{}, err
		}
		a.list = append(a.list, v)
	}
	if n.allowFalse != nil {
		v, err := n.allowFalse.eval(s)
		if err != nil {
			return event.Value{}, err
		}
		a.allowFalse = isTruthy(v)
	}
	out, err := n.applyFilter(s, input, a)
	if err != nil {
		return event.Value{}, fmt.Errorf("filter %q %w", n.name, err)
	}
	return out, nil
}

func (n *filtered) applyFilter(s *scope, input event.Value, a args) (event.Value, error) {
	for _, v := range append(a.list, input) {
		if err := s.countInput(v); err != nil {
			return event.Value{}, err
		}
	}
	out, err := n.apply(input, a)
	switch {
	case err != nil:
		return event.Value{}, err
	case isTooLong(out):
		return event.Value{}, errTooLong
	}
	return out, s.countWork(out)
}

// not negates a value.
type not struct{ of node }

func (n not) eval(s *scope) (event.Value, error) {
	v, err := n.of.eval(s)
	return event.NewBool(!isTrue(n.of, v)), err
}

// junction is and or or.
type junction struct {
	left, right node
	and         bool
}

func (n junction) eval(s *scope) (event.Value, error) {
	left, err := n.left.eval(s)
	if err != nil || isTrue(n.left, left) != n.and {
		return event.NewBool(!n.and), err
	}
	right, err := n.right.eval(s)
	return event.NewBool(isTrue(n.right, right)), err
}

// isTrue reports whether a node with this value is truthy. empty and blank are truthy although they print nothing.
func isTrue(n node, v event.Value) bool {
	if s, ok := n.(special); ok {
		return s != "nil"
	}
	return isTruthy(v)
}

// isTruthy reports whether a value is truthy: anything except an absent value, null and false.
func isTruthy(v event.Value) bool { return v.Exists() && v.Kind() != event.False }

// printText returns a value as it is printed: the items of a list are concatenated, and objects are JSON.
func printText(v event.Value) string {
	if v.Kind() != event.Array {
		return v.Text()
	}
	var b []byte
	for _, item := range v.Items() {
		b = append(b, printText(item)...)
	}
	return string(b)
}

// evalBoth evaluates both sides of a comparison.
func evalBoth(s *scope, left, right node) (l, r event.Value, err error) {
	if l, err = left.eval(s); err != nil {
		return l, r, err
	}
	if r, err = right.eval(s); err != nil {
		return l, r, err
	}
	return l, r, s.checkTime()
}
