package fql

import (
	"slices"
	"strings"

	"github.com/landfall-dev/landfall/framework/event"
)

func (g group) words(negated bool) string {
	joint := " and "
	if g.or {
		joint = " or "
	}
	parts := merge(g)
	if len(parts) == 1 {
		return parts[0].words(negated)
	}
	phrases := make([]string, len(parts))
	for i, part := range parts {
		phrases[i] = part.words(false)
		if inner, ok := part.(group); ok && len(merge(inner)) > 1 {
			phrases[i] = "(" + phrases[i] + ")"
		}
	}
	all := strings.Join(phrases, joint)
	if negated {
		return "not (" + all + ")"
	}
	return all
}

// merge draws together what a group says of one field: a = "x" or a = "y" becomes a in ["x", "y"], and
// a != "x" and a != "y" its negation.
func merge(g group) []condition {
	var parts []condition
	at := map[string]int{} // where in parts the values of a field are gathered
	for _, part := range g.parts {
		name, values, ok := choices(part, g.or)
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
		_, before, _ := choices(parts[i], g.or)
		var merged condition = comparison{"in", name, literal{event.NewArray(slices.Concat(before, values))}}
		if !g.or {
			merged = not{merged}
		}
		parts[i] = merged
	}
	return parts
}

// choices are the values that a condition allows an operand, or, without or, those that it excludes.
func choices(c condition, or bool) (name operand, values []event.Value, ok bool) {
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

func (n not) words(negated bool) string { return n.part.words(!negated) }

func (h holds) words(negated bool) string {
	switch of := h.of.(type) {
	case literal:
		if (of.Kind() == event.True) == negated {
			return "never"
		}
		return "always"
	case *call:
		if of.function.isTextTest() {
			return of.args[0].words() + " " + of.verb(negated)
		}
		return of.args[0].words() + choose(negated, " does not count as true", " counts as true")
	}
	return h.of.words() + choose(negated, " is not true", " is true")
}

func (l lacks) words(negated bool) string {
	phrase := l.test.args[0].words() + " is text that " + l.test.verb(true)
	if negated {
		return "not (" + phrase + ")"
	}
	return phrase
}

// verb says what contains or match looks for.
func (c *call) verb(negated bool) string {
	sought := c.args[1].words()
	if c.function.name == "contains" {
		return choose(negated, "does not contain ", "contains ") + sought
	}
	if c.pattern != nil {
		if before, ok := c.pattern.begins(); ok {
			return choose(negated, "does not begin with ", "begins with ") + wordsOf(event.NewString(before))
		}
		if after, ok := c.pattern.ends(); ok {
			return choose(negated, "does not end with ", "ends with ") + wordsOf(event.NewString(after))
		}
	}
	return choose(negated, "does not match the pattern ", "matches the pattern ") + sought
}

func (c comparison) words(negated bool) string {
	left, right := c.left.words(), c.right.words()
	value, isLiteral := c.right.(literal)
	is := choose(negated, " is not ", " is ")
	switch {
	case c.op == "in" && isLiteral:
		return left + oneOf(value, negated)
	case c.op == "in":
		return right + choose(negated, " does not hold ", " holds ") + left
	case isOrder(c.op):
		return left + is + orderWords(c.op) + right
	}
	differ := (c.op == "!=") != negated
	switch {
	case isLiteral && value.Kind() == event.Null:
		return left + choose(differ, " is present", " is missing")
	case c.op == "!=" && c.wantsNumber():
		return left + choose(negated, " is "+right+" or no number", " is a number other than "+right)
	}
	return left + choose(differ, " is not ", " is ") + right
}

func orderWords(op string) string {
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

// oneOf says that a value is in a list.
func oneOf(list literal, negated bool) string {
	var items []string
	for _, item := range list.Items() {
		items = append(items, wordsOf(item))
	}
	last := len(items) - 1
	switch {
	case last < 0:
		return choose(negated, " is not", " is") + " in an empty list"
	case last == 0:
		return choose(negated, " is not ", " is ") + items[0]
	}
	return choose(negated, " is neither ", " is ") + strings.Join(items[:last], ", ") + choose(negated, " nor ", " or ") + items[last]
}

// fieldWords name the fields that every event has.
var fieldWords = map[string]string{
	"type": "the type", "event": "the event", "name": "the name", "userId": "the user id",
	"anonymousId": "the anonymous id", "groupId": "the group id", "messageId": "the message id",
}

func (f *field) words() string {
	if name, ok := fieldWords[f.text]; ok {
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

func (l literal) words() string { return wordsOf(l.Value) }

func wordsOf(v event.Value) string {
	switch v.Kind() {
	case event.String:
		return "“" + v.Str() + "”"
	case event.Array:
		return "the list " + literalText(v)
	}
	return v.JSON()
}

func (c *call) words() string {
	of := c.args[0].words()
	switch c.function.name {
	case "lowercase", "uppercase":
		return of + " in " + strings.TrimSuffix(c.function.name, "case") + " case"
	case "snakecase", "kebabcase":
		return of + choose(c.function.name == "snakecase", " with underscores for spaces", " with dashes for spaces")
	case "titlecase":
		return of + " with capital initials"
	case "typeof":
		return "the kind of " + of
	case "length":
		return "the length of " + of
	case "bool":
		return of + " as true or false"
	}
	if c.function.isTextTest() {
		return "whether " + of + " " + c.verb(false)
	}
	return of + " as a " + c.function.name
}

func choose(first bool, a, b string) string {
	if first {
		return a
	}
	return b
}
