package fql

import (
	"slices"
	"strings"

	"github.com/landfall-dev/landfall/framework/event"
)

func (g group) describe(negated bool) string {
	separator := " and "
	if g.or {
		separator = " or "
	}
	parts := mergeParts(g)
	if len(parts) == 1 {
		return parts[0].describe(negated)
	}
	phrases := make([]string, len(parts))
	for i, part := range parts {
		phrases[i] = part.describe(false)
		if inner, ok := part.(group); ok && len(mergeParts(inner)) > 1 {
			phrases[i] = "(" + phrases[i] + ")"
		}
	}
	all := strings.Join(phrases, separator)
	if negated {
		return "not (" + all + ")"
	}
	return all
}

// mergeParts combines the parts of a group that concern the same operand: a = "x" or a = "y" becomes a in ["x", "y"], and a != "x"
// and a != "y" becomes the negation of that.
func mergeParts(g group) []condition {
	var parts []condition
	at := map[string]int{} // index into parts of the condition on an operand
	for _, part := range g.parts {
		name, values, ok := comparedValues(part, g.or)
		if !ok {
			parts = append(parts, part)
			continue
		}
		i, seen := at[name.String()]
		if !seen {
			at[name.String()] = len(parts)
			parts = append(parts, part)
			continue
		}
		_, before, _ := comparedValues(parts[i], g.or)
		var merged condition = comparison{"in", name, literal{event.NewArray(slices.Concat(before, values))}}
		if !g.or {
			merged = not{merged}
		}
		parts[i] = merged
	}
	return parts
}

// comparedValues returns the values that a condition allows for an operand or, if or is false, the values that it excludes.
func comparedValues(c condition, or bool) (name operand, values []event.Value, ok bool) {
	op := "="
	if !or {
		op = "!="
		if n, isNot := c.(not); isNot {
			c, op = n.part, ""
		}
	}
	compared, ok := c.(comparison)
	if !ok {
		return nil, nil, false
	}
	value, ok := compared.right.(literal)
	switch {
	case !ok:
		return nil, nil, false
	case compared.op == "in" && (or || op == ""):
		for _, item := range value.Items() {
			values = append(values, item)
		}
		return compared.left, values, true
	}
	return compared.left, []event.Value{value.Value}, compared.op == op && (value.IsString() || or && value.Kind() == event.Number)
}

func (n not) describe(negated bool) string { return n.part.describe(!negated) }

func (h valueTest) describe(negated bool) string {
	switch of := h.operand.(type) {
	case literal:
		if (of.Kind() == event.True) == negated {
			return "never"
		}
		return "always"
	case *call:
		if of.function.isTextTest() {
			return of.args[0].describe() + " " + of.function.test(of, negated)
		}
		return of.args[0].describe() + textIf(negated, " does not count as true", " counts as true")
	}
	return h.operand.describe() + textIf(negated, " is not true", " is true")
}

func (l negatedTextTest) describe(negated bool) string {
	phrase := l.call.args[0].describe() + " is text that " + l.call.function.test(l.call, true)
	if negated {
		return "not (" + phrase + ")"
	}
	return phrase
}

// describeContains returns what contains looks for.
func describeContains(c *call, negated bool) string {
	return textIf(negated, "does not contain ", "contains ") + c.args[1].describe()
}

// describeMatch returns what match looks for.
func describeMatch(c *call, negated bool) string {
	if c.pattern != nil {
		if before, ok := c.pattern.literalPrefix(); ok {
			return textIf(negated, "does not begin with ", "begins with ") + describeValue(event.NewString(before))
		}
		if after, ok := c.pattern.literalSuffix(); ok {
			return textIf(negated, "does not end with ", "ends with ") + describeValue(event.NewString(after))
		}
	}
	return textIf(negated, "does not match the pattern ", "matches the pattern ") + c.args[1].describe()
}

func (c comparison) describe(negated bool) string {
	left, right := c.left.describe(), c.right.describe()
	value, isLiteral := c.right.(literal)
	is := textIf(negated, " is not ", " is ")
	switch {
	case c.op == "in" && isLiteral:
		return left + describeList(value, negated)
	case c.op == "in":
		return right + textIf(negated, " does not contain ", " contains ") + left
	case isOrderOperator(c.op):
		return left + is + describeOrder(c.op) + right
	}
	differ := (c.op == "!=") != negated
	switch {
	case isLiteral && value.Kind() == event.Null:
		return left + textIf(differ, " is present", " is missing")
	case c.op == "!=" && c.wantsNumber():
		return left + textIf(negated, " is "+right+" or not a number", " is a number other than "+right)
	}
	return left + textIf(differ, " is not ", " is ") + right
}

func describeOrder(op string) string {
	switch op {
	case ">":
		return "more than "
	case ">=":
		return "at least "
	case "<":
		return "less than "
	}
	return "at most "
}

// describeList returns that a value is one of a list.
func describeList(list literal, negated bool) string {
	var items []string
	for _, item := range list.Items() {
		items = append(items, describeValue(item))
	}
	last := len(items) - 1
	switch {
	case last < 0:
		return textIf(negated, " is not", " is") + " in an empty list"
	case last == 0:
		return textIf(negated, " is not ", " is ") + items[0]
	}
	return textIf(negated, " is neither ", " is ") + strings.Join(items[:last], ", ") + textIf(negated, " nor ", " or ") + items[last]
}

// knownFields are the names of the fields that every event has.
var knownFields = map[string]string{
	"type": "the type", "event": "the event", "name": "the name", "userId": "the user id",
	"anonymousId": "the anonymous id", "groupId": "the group id", "messageId": "the message id",
}

func (f *field) describe() string {
	if name, ok := knownFields[f.text]; ok {
		return name
	}
	if rest, ok := strings.CutPrefix(f.text, "properties."); ok {
		return "the property " + rest
	}
	if rest, ok := strings.CutPrefix(f.text, "traits."); ok {
		return "the trait " + rest
	}
	return "the field " + f.text
}

func (l literal) describe() string { return describeValue(l.Value) }

func describeValue(v event.Value) string {
	switch v.Kind() {
	case event.String:
		return "“" + v.Str() + "”"
	case event.Array:
		return "the list " + literalText(v)
	}
	return v.JSON()
}

func (c *call) describe() string {
	of := c.args[0].describe()
	if c.function.isTextTest() {
		return "whether " + of + " " + c.function.test(c, false)
	}
	return c.function.describe(of)
}

func textIf(first bool, a, b string) string {
	if first {
		return a
	}
	return b
}
