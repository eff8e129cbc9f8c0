package fql

import "strings"

// unexpectedToken returns the error for a token after the end of a condition.
func (p *parser) unexpectedToken() error {
	t := p.token
	switch {
	case t.is(")"):
		return p.problemAt(t.offset, "no parenthesis is open here")
	case t.isOperator():
		return p.problemAt(t.offset, `a comparison has two sides: join the next one with "and" or "or"`)
	}
	return p.problemAt(t.offset, "unexpected %s", t)
}

// missingOperand returns the error for a token where a field or value is required.
func (p *parser) missingOperand() error {
	t, before := p.token, p.previous
	switch {
	case before.is("in") && t.is("("):
		return p.problemAt(t.offset, `write a list in brackets: ["a", "b"]`)
	case before.isOperator():
		return p.problemAt(t.offset, "a value is missing after %s", before)
	case t.is("and"), t.is("or"):
		return p.problemAt(t.offset, "a condition is missing before %s", t)
	case t.isOperator():
		return p.problemAt(t.offset, "a field is missing before %s", t)
	case before.is("and"), before.is("or"), before.is("!"):
		return p.problemAt(t.offset, "a condition is missing after %s", before)
	case before.is("("), before.is("["), before.is(","):
		return p.problemAt(t.offset, "a value is missing here")
	}
	return p.unexpectedToken()
}

// checkWord refuses keywords in upper case and the word not, which would otherwise be read as fields.
func (p *parser) checkWord(t token) error {
	switch {
	case !t.isPlainWord() || !isReserved(t.text):
		return nil
	case strings.EqualFold(t.text, "not"):
		return p.problemAt(t.offset, `write ! instead of %s, as in !(type in ["page", "screen"])`, t)
	}
	return p.problemAt(t.offset, `write "%s" in lower case`, strings.ToLower(t.text))
}

// standaloneCondition returns the condition for an operand that is not compared with anything.
func (p *parser) standaloneCondition(first token, o operand) (condition, error) {
	switch o := o.(type) {
	case *field:
		if p.token.kind == endToken || p.token.is("and") || p.token.is("or") || p.token.is(")") {
			return valueTest{o}, nil
		}
		return nil, p.missingOperator(first)
	case *call:
		if o.typeName() != typeBool {
			return nil, p.problemAt(first.offset, "%s returns a %s, which is not a condition: compare it, as in %s", o.function.name, o.typeName(), o.function.example)
		}
	case literal:
		switch o.typeName() {
		case typeList:
			return nil, p.problemAt(first.offset, `a list alone is not a condition: write a field and "in" before it`)
		case typeString, typeNumber, typeNull:
			return nil, p.problemAt(first.offset, "%s alone is not a condition: compare it with a field", first)
		}
	}
	return valueTest{o}, nil
}

// missingOperator returns the error for a field that is not followed by an operator.
func (p *parser) missingOperator(name token) error {
	t, operators := p.token, "one of = != > >= < <= in"
	if t.kind != wordToken {
		return p.problemAt(t.offset, "an operator is missing after %s: %s", name, operators)
	}
	if err := p.checkWord(t); err != nil {
		return err
	}
	switch strings.ToLower(t.text) {
	case "is", "equals":
		return p.problemAt(t.offset, "write = instead of %s", t)
	case "like", "matches", "match":
		return p.problemAt(t.offset, `write match(%s, "…") instead of %s`, name.display(), t)
	case "contains":
		return p.problemAt(t.offset, `write contains(%s, "…") instead of %s`, name.display(), t)
	}
	return p.problemAt(t.offset, `an operator is missing after %s: %s (a space in a name is written %s\ %s)`, name, operators, name.display(), t.display())
}

// checkComparison refuses comparisons that can never match.
func (p *parser) checkComparison(c comparison, first, second token) error {
	switch {
	case c.op == "in":
		if t := c.right.typeName(); t != "" && t != typeList {
			return p.problemAt(second.offset, `"in" needs a list: ["a", "b"], or a field that contains one`)
		}
	case isOrderOperator(c.op):
		for _, side := range []struct {
			operand
			token
		}{{c.left, first}, {c.right, second}} {
			if t := side.typeName(); t != "" && t != typeNumber {
				return p.problemAt(side.offset, "%s compares numbers, but this is not a number%s", c.op, unquotedHint(side.token))
			}
		}
	}
	if _, ok := c.left.(literal); !ok && c.op != "in" && second.isPlainWord() {
		if _, ok := c.right.(*field); ok {
			return p.problemAt(second.offset, `"%[1]s" without quotes is a field: write "%[1]s" for the text, $.%[1]s for the field`, second.display())
		}
	}
	return nil
}

// unquotedHint returns a hint for a number in quotes.
func unquotedHint(t token) string {
	if n, ok := parseNumber(t.content); ok {
		return ": write " + n.Digits()
	}
	return ""
}

func (p *parser) checkCall(c *call, name token, argTokens []token) error {
	f := c.function
	if want := len(f.argTypes); len(c.args) != want {
		plural := ""
		if want > 1 {
			plural = "s"
		}
		return p.problemAt(name.offset, "%s takes %d argument%s, not %d, as in %s", f.name, want, plural, len(c.args), f.example)
	}
	for i, arg := range c.args {
		has := arg.typeName()
		if has == "" || has == typeNull || f.argTypes[i] == "" || strings.Contains(f.argTypes[i], has) {
			continue
		}
		return p.problemAt(argTokens[i].offset, "%s takes a %s here, not a %s, as in %s", f.name, f.argTypes[i], has, f.example)
	}
	if len(c.args) == 2 && !c.compilePattern() {
		return p.problemAt(argTokens[1].offset, "a pattern has at most %d characters", MaxPattern)
	}
	return nil
}
