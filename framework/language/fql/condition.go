package fql

import (
	"fmt"

	"github.com/landfall-dev/landfall/framework/event"
)

// condition is a part of a query that an event matches or not. Its String is its normal form.
type condition interface {
	fmt.Stringer
	match(root event.Value) bool
	words(negated bool) string
	explain(root event.Value) Explanation
}

// group holds where all of its parts hold; with or, where one of them does.
type group struct {
	or    bool
	parts []condition // at least two; none is a group of the same kind
}

// not holds where its part does not.
type not struct{ part condition }

// comparison holds where two values compare as the operator says.
type comparison struct {
	op          string
	left, right operand
}

// holds is a value that stands alone: it holds where the value is true.
type holds struct{ of operand }

// lacks is !contains(…) or !match(…): it holds for text without the thing sought, and for nothing that is no text.
type lacks struct{ test *call }

// operand is a part of a query that has a value. Its String is its normal form.
type operand interface {
	fmt.Stringer
	value(root event.Value) event.Value
	typeName() string // "" where it depends on the event
	words() string
	fields(yield func(*field))
}

// field is read from the event.
type field struct {
	path event.Path
	text string
}

// literal is written in the query.
type literal struct{ event.Value }

// call is a function with its arguments.
type call struct {
	function *function
	args     []operand
	pattern  *glob // of match with a literal pattern, else nil
}

// newGroup flattens parts that are groups of the same kind; one part alone is itself.
func newGroup(or bool, parts []condition) condition {
	if len(parts) == 1 {
		return parts[0]
	}
	g := group{or: or}
	for _, part := range parts {
		if inner, ok := part.(group); ok && inner.or == or {
			g.parts = append(g.parts, inner.parts...)
		} else {
			g.parts = append(g.parts, part)
		}
	}
	return g
}

// negate turns a condition round; a second negation cancels the first.
func negate(part condition) condition {
	if n, ok := part.(not); ok {
		return n.part
	}
	return not{part}
}

// textTest is the call of contains or match that a condition consists of, nil where it does not.
func textTest(c condition) *call {
	if h, ok := c.(holds); ok {
		if test, ok := h.of.(*call); ok && test.function.isTextTest() {
			return test
		}
	}
	return nil
}

// isOrder tells whether an operator orders numbers.
func isOrder(op string) bool { return op[0] == '>' || op[0] == '<' }

// wantsNumber tells whether a comparison holds for numbers only.
func (c comparison) wantsNumber() bool {
	return isOrder(c.op) || c.op == "!=" && (isNumberLiteral(c.left) || isNumberLiteral(c.right))
}

// asText returns the comparison with numbers as texts, if it is an equality with one of the fields of an event that are texts:
// userId = 42 is meant for the user "42". event, type and name compare with true and false as texts, too.
func (c comparison) asText() comparison {
	if isOrder(c.op) {
		return c
	}
	if f, ok := c.left.(*field); ok {
		c.right = literalAsText(f.text, c.right)
	}
	if f, ok := c.right.(*field); ok {
		c.left = literalAsText(f.text, c.left)
	}
	return c
}

// literalAsText returns what a field is compared with, as a text if the field is one of texts.
func literalAsText(field string, o operand) operand {
	l, ok := o.(literal)
	if !ok {
		return o
	}
	switch field {
	case "event", "type", "name", "userId":
		return literal{valueAsText(l.Value, field != "userId")}
	}
	return o
}

func valueAsText(v event.Value, flags bool) event.Value {
	switch v.Kind() {
	case event.Number:
		return event.NewString(v.Text())
	case event.True, event.False:
		if flags {
			return event.NewString(v.Text())
		}
	case event.Array:
		items := make([]event.Value, 0, v.Len())
		for _, item := range v.Items() {
			items = append(items, valueAsText(item, flags))
		}
		return event.NewArray(items)
	}
	return v
}

func isNumberLiteral(o operand) bool {
	l, ok := o.(literal)
	return ok && l.Kind() == event.Number
}

func (*field) typeName() string    { return "" }
func (l literal) typeName() string { return typeOf(l.Value) }
func (c *call) typeName() string   { return c.function.gives }

func (f *field) fields(yield func(*field)) { yield(f) }
func (literal) fields(func(*field))        {}
func (c *call) fields(yield func(*field)) {
	for _, arg := range c.args {
		arg.fields(yield)
	}
}
