package fql

import (
	"strings"
	"unicode/utf8"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
)

// parser reads a query by recursive descent:
//
//	query      = and { "or" and }
//	and        = unary { [ "and" ] unary }
//	unary      = "!" unary | "(" query ")" | comparison
//	comparison = operand [ operator operand ]
//	operand    = field | literal | list | function "(" operand { "," operand } ")"
//
// Parsing stops at the first mistake.
type parser struct {
	lexer
	token    token // the next token
	previous token // the token before it
	depth    int
	paths    []event.Path
	fields   map[string]*field // the fields parsed so far, by their text
}

func newParser(text string) (*parser, error) {
	if len(text) > MaxBytes {
		return nil, fault.Problems{{Message: "the query is longer than 64 KB"}}
	}
	for i, r := range text {
		if r == utf8.RuneError && !strings.HasPrefix(text[i:], string(r)) {
			return nil, newProblem(text, i, "this is not UTF-8")
		}
	}
	p := &parser{lexer: lexer{text: text}, fields: map[string]*field{}}
	return p, p.advance()
}

// advance reads the next token.
func (p *parser) advance() error {
	p.previous = p.token
	var err error
	p.token, err = p.nextToken()
	return err
}

// enterNested increments the nesting depth. Each call must be paired with leaveNested.
func (p *parser) enterNested() error {
	if p.depth++; p.depth > MaxDepth {
		return p.problemAt(p.token.offset, "nested deeper than %d", MaxDepth)
	}
	return nil
}

func (p *parser) leaveNested() { p.depth-- }

func (p *parser) parseQuery() (condition, error) {
	if p.token.kind == endToken {
		return nil, p.problemAt(p.token.offset, `the query is empty: write a condition, such as type = "track"`)
	}
	root, err := p.parseOr()
	if err == nil && p.token.kind != endToken {
		err = p.unexpectedToken()
	}
	return root, err
}

func (p *parser) parseOr() (condition, error) {
	var parts []condition
	for {
		part, err := p.parseAnd()
		if err != nil {
			return nil, err
		}
		parts = append(parts, part)
		if !p.token.is("or") {
			return newGroup(true, parts), nil
		}
		if err := p.advance(); err != nil {
			return nil, err
		}
	}
}

func (p *parser) parseAnd() (condition, error) {
	var parts []condition
	for {
		first, joined := p.token, len(parts) == 0 || p.previous.is("and")
		part, err := p.parseUnary()
		if err != nil {
			return nil, err
		}
		if isBareField(part) && !joined {
			return nil, p.problemAt(first.offset, `write "and" or "or" before %s (or put it in quotes, if it is text)`, first)
		}
		parts = append(parts, part)
		if p.token.is("and") {
			if err := p.advance(); err != nil {
				return nil, err
			}
		} else if !p.beginsCondition() {
			return newGroup(false, parts), nil
		}
	}
}

func isBareField(c condition) bool {
	h, ok := c.(valueTest)
	if ok {
		_, ok = h.operand.(*field)
	}
	return ok
}

func (p *parser) beginsOperand() bool {
	return p.beginsLiteral() || p.token.kind == wordToken || p.token.is("[")
}

func (p *parser) beginsLiteral() bool {
	t := p.token
	return t.kind == textToken || t.kind == numberToken || t.is("true") || t.is("false") || t.is("null")
}

func (p *parser) beginsCondition() bool {
	return p.beginsOperand() || p.token.is("!") || p.token.is("(")
}

func (p *parser) parseUnary() (condition, error) {
	switch {
	case p.token.is("!"):
		return p.parseNot()
	case p.token.is("("):
		if err := p.enterNested(); err != nil {
			return nil, err
		}
		defer p.leaveNested()
		return p.parseParentheses()
	}
	return p.parseComparison()
}

// parseNot parses ! and its operand. A parenthesis directly after ! is on the same nesting level.
func (p *parser) parseNot() (condition, error) {
	if err := p.enterNested(); err != nil {
		return nil, err
	}
	defer p.leaveNested()
	if err := p.advance(); err != nil {
		return nil, err
	}
	if p.token.is("(") {
		part, err := p.parseParentheses()
		return negate(part), err
	}
	direct := p.token.kind == wordToken
	part, err := p.parseUnary()
	if err != nil {
		return nil, err
	}
	if test := textTest(part); test != nil && direct {
		return negatedTextTest{test}, nil
	}
	return negate(part), nil
}

func (p *parser) parseParentheses() (condition, error) {
	open := p.token
	if err := p.advance(); err != nil {
		return nil, err
	}
	switch {
	case p.token.is(")"):
		return nil, p.problemAt(open.offset, "these parentheses are empty")
	case p.token.kind == endToken:
		return nil, p.expectClosing(open, ")")
	}
	inner, err := p.parseOr()
	if err == nil && p.token.isOperator() {
		err = p.unexpectedToken()
	}
	if err != nil {
		return nil, err
	}
	return inner, p.expectClosing(open, ")")
}

// expectClosing requires the token that closes open.
func (p *parser) expectClosing(open token, text string) error {
	switch {
	case p.token.is(text):
		return p.advance()
	case p.token.kind == endToken:
		return p.problemAt(open.offset, "this %s is never closed", open)
	case p.token.is(")"), p.token.is("]"):
		return p.problemAt(p.token.offset, "%s does not close %s", p.token, open)
	}
	return p.problemAt(p.token.offset, "expected a comma or %s before %s", text, p.token)
}

func (p *parser) parseComparison() (condition, error) {
	first := p.token
	left, err := p.parseOperand()
	if err != nil {
		return nil, err
	}
	op := p.token
	if !op.isOperator() {
		return p.standaloneCondition(first, left)
	}
	if err := p.advance(); err != nil {
		return nil, err
	}
	second := p.token
	right, err := p.parseOperand()
	if err != nil {
		return nil, err
	}
	c := comparison{op.text, left, right}
	if err := p.checkComparison(c, first, second); err != nil {
		return nil, err
	}
	return c.asText(), nil
}

func (p *parser) parseOperand() (operand, error) {
	t := p.token
	if !p.beginsOperand() {
		return nil, p.missingOperand()
	}
	if t.is("[") {
		return p.parseList()
	}
	if t.kind != wordToken {
		return p.parseLiteral()
	}
	if err := p.checkWord(t); err != nil {
		return nil, err
	}
	if err := p.advance(); err != nil {
		return nil, err
	}
	if p.token.is("(") && (p.token.offset == t.end() || t.isPlainWord() && findFunction(t.text) != nil) {
		return p.parseCall(t)
	}
	return p.resolveField(t), nil
}

func (p *parser) resolveField(t token) *field {
	name := pathText(t.keys)
	f := p.fields[name]
	if f == nil {
		f = &field{event.PathOf(t.keys...), name}
		p.fields[name] = f
		p.paths = append(p.paths, f.path)
	}
	return f
}

// parseLiteral parses a string, a number, true, false or null.
func (p *parser) parseLiteral() (literal, error) {
	t := p.token
	var v event.Value
	switch {
	case t.kind == textToken:
		v = event.NewString(t.content)
	case t.kind == numberToken:
		var ok bool
		if v, ok = parseNumber(t.text); !ok {
			return literal{}, p.problemAt(t.offset, "this number is too large")
		}
	case t.is("null"):
		v = event.NewNull()
	default:
		v = event.NewBool(t.is("true"))
	}
	return literal{v}, p.advance()
}

func (p *parser) parseList() (operand, error) {
	open := p.token
	if err := p.advance(); err != nil {
		return nil, err
	}
	var items []event.Value
	for p.token.kind != endToken && (!p.token.is("]") || p.previous.is(",")) {
		switch {
		case p.token.kind == wordToken || p.token.is("["):
			return nil, p.problemAt(p.token.offset, "a list can contain only quoted strings, numbers, true, false and null")
		case !p.beginsLiteral():
			return nil, p.missingOperand()
		case len(items) == MaxItems:
			return nil, p.problemAt(p.token.offset, "a list has at most %d items", MaxItems)
		}
		item, err := p.parseLiteral()
		if err != nil {
			return nil, err
		}
		items = append(items, item.Value)
		if !p.token.is(",") {
			break
		}
		if err := p.advance(); err != nil {
			return nil, err
		}
	}
	return literal{event.NewArray(items)}, p.expectClosing(open, "]")
}

// parseCall parses the arguments of a function. Its name has already been read.
func (p *parser) parseCall(name token) (operand, error) {
	c := &call{function: findFunction(name.text)}
	if c.function == nil || !name.isPlainWord() {
		return nil, p.problemAt(name.offset, "unknown function %s%s", name, fault.DidYouMean(strings.ToLower(name.text), functionNames()))
	}
	if err := p.enterNested(); err != nil {
		return nil, err
	}
	defer p.leaveNested()
	open := p.token
	if err := p.advance(); err != nil {
		return nil, err
	}
	var argTokens []token
	for p.token.kind != endToken && (!p.token.is(")") || p.previous.is(",")) {
		argTokens = append(argTokens, p.token)
		arg, err := p.parseOperand()
		if err != nil {
			return nil, err
		}
		c.args = append(c.args, arg)
		if !p.token.is(",") {
			break
		}
		if err := p.advance(); err != nil {
			return nil, err
		}
	}
	if err := p.expectClosing(open, ")"); err != nil {
		return nil, err
	}
	return c, p.checkCall(c, name, argTokens)
}

// compilePattern compiles the pattern of the function if it is a literal. It returns false if the pattern is too long.
func (c *call) compilePattern() (ok bool) {
	pattern, isLiteral := c.args[1].(literal)
	if !isLiteral || !c.function.pattern || !pattern.IsString() {
		return true
	}
	if utf8.RuneCountInString(pattern.Str()) > MaxPattern {
		return false
	}
	c.pattern = newGlob(pattern.Str())
	return true
}
