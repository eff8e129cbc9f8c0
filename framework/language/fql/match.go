package fql

import "github.com/landfall-dev/landfall/framework/event"

func (g group) match(root event.Value) bool {
	for _, part := range g.parts {
		if part.match(root) == g.or {
			return g.or
		}
	}
	return !g.or
}

func (n not) match(root event.Value) bool { return !n.part.match(root) }

func (h holds) match(root event.Value) bool { return h.of.value(root).Kind() == event.True }

func (l lacks) match(root event.Value) bool {
	return l.noText(root) == nil && l.test.value(root).Kind() == event.False
}

// noText is the first argument that is no string, nil where all are.
func (l lacks) noText(root event.Value) operand {
	for _, arg := range l.test.args {
		if !arg.value(root).IsString() {
			return arg
		}
	}
	return nil
}

func (c comparison) match(root event.Value) bool {
	left, right := c.left.value(root), c.right.value(root)
	switch c.op {
	case "=":
		return equal(left, right)
	case "!=":
		return !equal(left, right) && (!c.wantsNumber() || areNumbers(left, right))
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

// equal compares type and value; an absent value is null.
func equal(a, b event.Value) bool {
	if !a.Exists() || !b.Exists() {
		return !a.Exists() && !b.Exists()
	}
	return event.Equal(a, b)
}

func isIn(v, list event.Value) bool {
	for _, item := range list.Items() {
		if equal(v, item) {
			return true
		}
	}
	return false
}

func (f *field) value(root event.Value) event.Value { return f.path.Read(root) }

func (l literal) value(event.Value) event.Value { return l.Value }

func (c *call) value(root event.Value) event.Value {
	first := c.args[0].value(root)
	if c.pattern != nil {
		return event.NewBool(first.IsString() && c.pattern.match(first.Str()))
	}
	if len(c.args) == 1 {
		return c.function.apply(first, event.Value{})
	}
	return c.function.apply(first, c.args[1].value(root))
}
