package liquid

import (
	"fmt"
	"strconv"

	"github.com/landfall-dev/landfall/framework/event"
)

// node is a part of a compiled expression. A number that JSON does not have, such as Infinity, is its text.
type node interface {
	eval(s *scope) (event.Value, error)
}

type literal struct{ v event.Value }

func (n literal) eval(*scope) (event.Value, error) { return n.v, nil }

// special is nil, empty or blank, which mean something of their own in comparisons and nothing elsewhere.
type special string

func (n special) eval(*scope) (event.Value, error) {
	if n == "nil" {
		return event.NewNull(), nil
	}
	return event.Value{}, nil
}

type variable struct{ name string }

func (n variable) eval(s *scope) (event.Value, error) { return s.lookup(n.name), nil }

// root is what a key in brackets at the start of an expression is read from.
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
	name := text(key)
	if _, top := n.of.(root); top {
		return s.lookup(name), nil
	}
	return property(of, name), nil
}

// property is a key of an object, an item of an array, a character of a string, or their first, last, size and length.
func property(of event.Value, name string) event.Value {
	switch of.Kind() {
	case event.Object:
		if v := of.Get(name); name != "size" || v.Kind() != event.Absent {
			return v
		}
		return event.NewInt(int64(of.Len()))
	case event.Array:
		return item(of, name)
	case event.String:
		if name == "size" {
			name = "length"
		}
		if of.Str() == "" && name == "length" {
			return event.NewInt(0)
		}
		return event.PathOf(name).Read(of)
	}
	return event.Value{}
}

func item(list event.Value, name string) event.Value {
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

// span is a range of whole numbers.
type span struct{ from, to node }

func (n span) eval(s *scope) (event.Value, error) {
	from, err := n.from.eval(s)
	if err != nil {
		return event.Value{}, err
	}
	to, err := n.to.eval(s)
	if err != nil {
		return event.Value{}, err
	}
	first, last := number(from), number(to)
	if last-first >= MaxItems {
		return event.Value{}, errTooMany
	}
	var items []event.Value
	for x := first; x <= last; x++ {
		items = append(items, numeric(x))
		if len(items) > MaxItems { // adding one changes nothing beyond 2^53
			return event.Value{}, errTooMany
		}
	}
	v := event.NewArray(items)
	return v, s.use(v)
}

// filtered is a value with a filter applied to it.
type filtered struct {
	name       string
	input      node
	apply      filter
	args       []node
	allowFalse node
}

// orInput is the input where there is no such filter.
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
		a.allowFalse = truthy(v)
	}
	out, err := n.applied(s, input, a)
	if err != nil {
		return event.Value{}, fmt.Errorf("filter %q %w", n.name, err)
	}
	return out, nil
}

func (n *filtered) applied(s *scope, input event.Value, a args) (event.Value, error) {
	for _, v := range append(a.list, input) {
		if err := s.takes(v); err != nil {
			return event.Value{}, err
		}
	}
	out, err := n.apply(input, a)
	switch {
	case err != nil:
		return event.Value{}, err
	case tooLong(out):
		return event.Value{}, errTooLong
	}
	return out, s.use(out)
}

// not is true where a value does not count as true.
type not struct{ of node }

func (n not) eval(s *scope) (event.Value, error) {
	v, err := n.of.eval(s)
	return event.NewBool(!isTrue(n.of, v)), err
}

// junction is and, or else or.
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

// isTrue reports whether a node with this value counts as true. empty and blank do, although they print nothing.
func isTrue(n node, v event.Value) bool {
	if s, ok := n.(special); ok {
		return s != "nil"
	}
	return truthy(v)
}

// truthy tells whether a value counts as true: anything but nothing, null and false does.
func truthy(v event.Value) bool { return v.Exists() && v.Kind() != event.False }

// text is a value as it prints: the items of a list one after the other, objects as JSON.
func text(v event.Value) string {
	if v.Kind() != event.Array {
		return v.Text()
	}
	var b []byte
	for _, item := range v.Items() {
		b = append(b, text(item)...)
	}
	return string(b)
}

// bothOf evaluates the sides of a comparison.
func bothOf(s *scope, left, right node) (l, r event.Value, err error) {
	if l, err = left.eval(s); err != nil {
		return l, r, err
	}
	if r, err = right.eval(s); err != nil {
		return l, r, err
	}
	return l, r, s.inTime()
}
