package fql

import (
	"strings"

	"github.com/landfall-dev/landfall/framework/event"
)

func (g group) String() string {
	separator := " and "
	if g.or {
		separator = " or "
	}
	parts := make([]string, len(g.parts))
	for i, part := range g.parts {
		parts[i] = part.String()
		if inner, ok := part.(group); ok && inner.or {
			parts[i] = "(" + parts[i] + ")"
		}
	}
	return strings.Join(parts, separator)
}

func (n not) String() string {
	switch n.part.(type) {
	case group, comparison:
		return "!(" + n.part.String() + ")"
	}
	if textTest(n.part) != nil { // without parentheses it would have another meaning
		return "!(" + n.part.String() + ")"
	}
	return "!" + n.part.String()
}

func (h valueTest) String() string { return h.operand.String() }

func (l negatedTextTest) String() string { return "!" + l.call.String() }

func (c comparison) String() string {
	right := c.right.String()
	if f, ok := c.right.(*field); ok && c.op != "in" && len(f.path.Keys()) == 1 {
		right = "$." + right
	}
	return c.left.String() + " " + c.op + " " + right
}

func (f *field) String() string { return f.text }

func (c *call) String() string {
	args := make([]string, len(c.args))
	for i, arg := range c.args {
		args[i] = arg.String()
	}
	return c.function.name + "(" + strings.Join(args, ", ") + ")"
}

func (l literal) String() string { return literalText(l.Value) }

func literalText(v event.Value) string {
	switch v.Kind() {
	case event.String:
		return Quote(v.Str())
	case event.Array:
		items := make([]string, 0, v.Len())
		for _, item := range v.Items() {
			items = append(items, literalText(item))
		}
		return "[" + strings.Join(items, ", ") + "]"
	}
	return v.JSON()
}

// Quote returns a text as a string literal of the language.
func Quote(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`, "\r", `\r`, "\t", `\t`).Replace(s) + `"`
}
