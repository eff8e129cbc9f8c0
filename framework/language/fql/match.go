package fql

import "github.com/landfall-dev/landfall/framework/event"

func (g group) matches(root event.Value) bool {
	for _, part := range g.parts {
		if part.matches(root) == g.or {
			return g.or
		}
	}
	return !g.or
}

func (n not) matches(root event.Value) bool { return !n.part.matches(root) }

func (h valueTest) matches(root event.Value) bool {
	return h.operand.evaluate(root).Kind() == event.True
}

func (l negatedTextTest) matches(root event.Value) bool {
	return l.firstNonText(root) == nil && l.call.evaluate(root).Kind() == event.False
}

// firstNonText returns the first argument that is not a string, or nil.
func (l negatedTextTest) firstNonText(root event.Value) operand {
	for _, arg := range l.call.args {
		if !arg.evaluate(root).IsString() {
			return arg
		}
	}
	return nil
}

func (c comparison) matches(root event.Value) bool {
	left, right := c.left.evaluate(root), c.right.evaluate(root)
	switch c.op {
	case "=":
		return equalValues(left, right)
	case "!=":
		return !equalValues(left, right) && (!c.wantsNumber() || areNumbers(left, right))
	case "in":
		return isIn(left, right)
	}
	if !areNumbers(left, right) {
		return false
	}
	order := compareNumbers(left, right)
	switch c.op {
	case ">":
		return order > 0
	case ">=":
		return order >= 0
	case "<":
		return order < 0
	}
	return order <= 0
}

func areNumbers(a, b event.Value) bool {
	return a.Kind() == event.Number && b.Kind() == event.Number
}

// equalValues compares type and value. An absent value equals null.
func equalValues(a, b event.Value) bool {
	if !a.Exists() || !b.Exists() {
		return !a.Exists() && !b.Exists()
	}
	return event.Equal(a, b)
}

func isIn(v, list event.Value) bool {
	for _, item := range list.Items() {
		if equalValues(v, item) {
			return true
		}
	}
	return false
}

func (f *field) evaluate(root event.Value) event.Value { return f.path.Read(root) }

func (l literal) evaluate(event.Value) event.Value { return l.Value }

func (c *call) evaluate(root event.Value) event.Value {
	first := c.args[0].evaluate(root)
	if c.pattern != nil {
		return event.NewBool(first.IsString() && c.pattern.matches(first.Str()))
	}
	if len(c.args) == 1 {
		return c.function.apply(first, event.Value{})
	}
	return c.function.apply(first, c.args[1].evaluate(root))
}
