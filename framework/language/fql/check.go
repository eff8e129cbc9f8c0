package fql

import "strings"

// unexpected is the mistake of a token where a condition has ended.
func (p *parser) unexpected() error {
	t := p.token
	switch {
	case t.is(")"):
		return p.fail(t.at, "no parenthesis is open here")
	case t.isOperator():
		return p.fail(t.at, `a comparison has two sides: join the next one with "and" or "or"`)
	}
	return p.fail(t.at, "unexpected %s", t)
}

// missing is the mistake of a token where a field or value must be.
func (p *parser) missing() error {
	t, before := p.token, p.previous
	switch {
	case before.is("in") && t.is("("):
		return p.fail(t.at, `a list stands in brackets: ["a", "b"]`)
	case before.isOperator():
		return p.fail(t.at, "a value is missing after %s", before)
	case t.is("and"), t.is("or"):
		return p.fail(t.at, "a condition is missing before %s", t)
	case t.isOperator():
		return p.fail(t.at, "a field is missing before %s", t)
	case before.is("and"), before.is("or"), before.is("!"):
		return p.fail(t.at, "a condition is missing after %s", before)
	case before.is("("), before.is("["), before.is(","):
		return p.fail(t.at, "a value is missing here")
	}
	return p.unexpected()
}

// checkWord refuses keywords in capitals and not, which would otherwise pass for fields.
func (p *parser) checkWord(t token) error {
	switch {
	case !t.plain() || !isReserved(t.text):
		return nil
	case strings.EqualFold(t.text, "not"):
		return p.fail(t.at, `write ! instead of %s, as in !(type in ["page", "screen"])`, t)
	}
	return p.fail(t.at, `write "%s" in lower case`, strings.ToLower(t.text))
}

// alone is what stands where a condition must be and is not compared.
func (p *parser) alone(first token, o operand) (condition, error) {
	switch o := o.(type) {
	case *field:
		if p.token.kind == end || p.token.is("and") || p.token.is("or") || p.token.is(")") {
			return holds{o}, nil
		}
		return nil, p.noOperator(first)
	case *call:
		if o.typeName() != typeBool {
			return nil, p.fail(first.at, "%s gives a %s, which is no condition: compare it, as in %s", o.function.name, o.typeName(), o.function.example)
		}
	case literal:
		switch o.typeName() {
		case typeList:
			return nil, p.fail(first.at, `a list alone is no condition: write a field and "in" before it`)
		case typeString, typeNumber, typeNull:
			return nil, p.fail(first.at, "%s alone is no condition: compare it with a field", first)
		}
	}
	return holds{o}, nil
}

// noOperator is the mistake of a field that something other than an operator follows.
func (p *parser) noOperator(name token) error {
	t, operators := p.token, "one of = != > >= < <= in"
	if t.kind != word {
		return p.fail(t.at, "an operator is missing after %s: %s", name, operators)
	}
	if err := p.checkWord(t); err != nil {
		return err
	}
	switch strings.ToLower(t.text) {
	case "is", "equals":
		return p.fail(t.at, "write = instead of %s", t)
	case "like", "matches", "match":
		return p.fail(t.at, `write match(%s, "…") instead of %s`, name.shown(), t)
	case "contains":
		return p.fail(t.at, `write contains(%s, "…") instead of %s`, name.shown(), t)
	}
	return p.fail(t.at, `an operator is missing after %s: %s (a space in a name is written %s\ %s)`, name, operators, name.shown(), t.shown())
}

// checkComparison refuses comparisons that can never hold.
func (p *parser) checkComparison(c comparison, first, second token) error {
	switch {
	case c.op == "in":
		if t := c.right.typeName(); t != "" && t != typeList {
			return p.fail(second.at, `"in" wants a list: ["a", "b"], or a field that holds one`)
		}
	case isOrder(c.op):
		for _, side := range []struct {
			operand
			token
		}{{c.left, first}, {c.right, second}} {
			if t := side.typeName(); t != "" && t != typeNumber {
				return p.fail(side.at, "%s compares numbers, and this is no number%s", c.op, unquoted(side.token))
			}
		}
	}
	if _, ok := c.left.(literal); !ok && c.op != "in" && second.plain() {
		if _, ok := c.right.(*field); ok {
			return p.fail(second.at, `"%[1]s" without quotes is a field: write "%[1]s" for the text, $.%[1]s for the field`, second.shown())
		}
	}
	return nil
}

// unquoted is a hint for numbers in quotes.
func unquoted(t token) string {
	if n, ok := parseNumber(t.content); ok {
		return ": write " + n.Digits()
	}
	return ""
}

func (p *parser) checkCall(c *call, name token, places []token) error {
	f := c.function
	if want := len(f.takes); len(c.args) != want {
		plural := ""
		if want > 1 {
			plural = "s"
		}
		return p.fail(name.at, "%s takes %d argument%s, not %d, as in %s", f.name, want, plural, len(c.args), f.example)
	}
	for i, arg := range c.args {
		has := arg.typeName()
		if has == "" || has == typeNull || f.takes[i] == "" || strings.Contains(f.takes[i], has) {
			continue
		}
		return p.fail(places[i].at, "%s takes a %s here, not a %s, as in %s", f.name, f.takes[i], has, f.example)
	}
	if len(c.args) == 2 && !c.compilePattern() {
		return p.fail(places[1].at, "a pattern has at most %d characters", MaxPattern)
	}
	return nil
}
