package fql

import (
	"fmt"

	"github.com/landfall-dev/landfall/framework/event"
)

// condition is a part of a query that an event either matches or does not match. String returns its normal form.
type condition interface {
	fmt.Stringer
	matches(root event.Value) bool
	describe(negated bool) string
	explain(root event.Value) Explanation
}

// group matches if all of its parts match or, if or is true, if any of them matches.
type group struct {
	or    bool
	parts []condition // at least two; none is a group of the same kind
}

// not matches if its part does not.
type not struct{ part condition }

// comparison compares two values with an operator.
type comparison struct {
	op          string
	left, right operand
}

// valueTest is a value without an operator. It matches if the value is true.
type valueTest struct{ operand operand }

// negatedTextTest is !contains(…) or !match(…). It matches only if all arguments are text and the test fails.
type negatedTextTest struct{ call *call }

// operand is a part of a query that has a value. String returns its normal form.
type operand interface {
	fmt.Stringer
	evaluate(root event.Value) event.Value
	typeName() string // "" if the type depends on the event
	describe() string
	eachField(yield func(*field))
}

// field is a value that is read from the event.
type field struct {
	path event.Path
	text string
}

// literal is a value that is written in the query.
type literal struct{ event.Value }

// call is a call of a function.
type call struct {
	function *function
	args     []operand
	pattern  *glob // for match with a literal pattern, otherwise nil
}

// newGroup returns a group of the parts. It merges parts that are groups of the same kind, and returns a single part as it is.
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

// negate returns the negation of a condition. It removes a double negation.
func negate(part condition) condition {
	if n, ok := part.(not); ok {
		return n.part
	}
	return not{part}
}

// textTest returns the call if the condition consists of a call of contains or match, and nil otherwise.
func textTest(c condition) *call {
	if h, ok := c.(valueTest); ok {
		if test, ok := h.operand.(*call); ok && test.function.isTextTest() {
			return test
		}
	}
	return nil
}

// isOrderOperator reports whether an operator compares the order of numbers.
func isOrderOperator(op string) bool { return op[0] == '>' || op[0] == '<' }

// wantsNumber reports whether the comparison matches only numbers.
func (c comparison) wantsNumber() bool {
	return isOrderOperator(c.op) || c.op == "!=" && (isNumberLiteral(c.left) || isNumberLiteral(c.right))
}

// asText converts the literals of an equality with a text field of an event to text: userId = 42 means the user "42". For event,
// type and name, true and false are converted too.
func (c comparison) asText() comparison {
	if isOrderOperator(c.op) {
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

// literalAsText converts a literal to text if it is compared with a text field.
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
func (c *call) typeName() string   { return c.function.resultType }

func (f *field) eachField(yield func(*field)) { yield(f) }
func (literal) eachField(func(*field))        {}
func (c *call) eachField(yield func(*field)) {
	for _, arg := range c.args {
		arg.eachField(yield)
	}
}
