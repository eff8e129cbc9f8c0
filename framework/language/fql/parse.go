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
// The first mistake ends it.
type parser struct {
	lexer
	token    token // the next one
	previous token // the one before it
	depth    int
	paths    []event.Path
	known    map[string]*field // the fields read so far, by their text
}

func newParser(source string) (*parser, error) {
	if len(source) > MaxBytes {
		return nil, fault.Problems{{Message: "the query is longer than 64 KB"}}
	}
	for i, r := range source {
		if r == utf8.RuneError && !strings.HasPrefix(source[i:], string(r)) {
			return nil, problem(source, i, "this is not UTF-8")
		}
	}
	p := &parser{lexer: lexer{text: source}, known: map[string]*field{}}
	return p, p.advance()
}

// advance reads the next token.
func (p *parser) advance() error {
	p.previous = p.token
	var err error
	p.token, err = p.next()
	return err
}

// enter counts what is nested; whoever enters leaves.
func (p *parser) enter() error {
	if p.depth++; p.depth > MaxDepth {
		return p.fail(p.token.at, "nested deeper than %d", MaxDepth)
	}
	return nil
}

func (p *parser) leave() { p.depth-- }

func (p *parser) query() (condition, error) {
	if p.token.kind == end {
		return nil, p.fail(p.token.at, `the query is empty: write a condition, such as type = "track"`)
	}
	root, err := p.alternatives()
	if err == nil && p.token.kind != end {
		err = p.unexpected()
	}
	return root, err
}

func (p *parser) alternatives() (condition, error) {
	var parts []condition
	for {
		part, err := p.conjunction()
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

func (p *parser) conjunction() (condition, error) {
	var parts []condition
	for {
		first, joined := p.token, len(parts) == 0 || p.previous.is("and")
		part, err := p.unary()
		if err != nil {
			return nil, err
		}
		if isBareField(part) && !joined {
			return nil, p.fail(first.at, `write "and" or "or" before %s (or quotes round it, if it is text)`, first)
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
	h, ok := c.(holds)
	if ok {
		_, ok = h.of.(*field)
	}
	return ok
}

func (p *parser) beginsOperand() bool {
	return p.beginsLiteral() || p.token.kind == word || p.token.is("[")
}

func (p *parser) beginsLiteral() bool {
	t := p.token
	return t.kind == text || t.kind == number || t.is("true") || t.is("false") || t.is("null")
}

func (p *parser) beginsCondition() bool {
	return p.beginsOperand() || p.token.is("!") || p.token.is("(")
}

func (p *parser) unary() (condition, error) {
	switch {
	case p.token.is("!"):
		return p.negation()
	case p.token.is("("):
		if err := p.enter(); err != nil {
			return nil, err
		}
		defer p.leave()
		return p.parenthesised()
	}
	return p.comparison()
}

// negation reads ! and what it negates. The parenthesis that may follow is one level with it.
func (p *parser) negation() (condition, error) {
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer p.leave()
	if err := p.advance(); err != nil {
		return nil, err
	}
	if p.token.is("(") {
		part, err := p.parenthesised()
		return negate(part), err
	}
	direct := p.token.kind == word
	part, err := p.unary()
	if err != nil {
		return nil, err
	}
	if test := textTest(part); test != nil && direct {
		return lacks{test}, nil
	}
	return negate(part), nil
}

func (p *parser) parenthesised() (condition, error) {
	open := p.token
	if err := p.advance(); err != nil {
		return nil, err
	}
	switch {
	case p.token.is(")"):
		return nil, p.fail(open.at, "these parentheses are empty")
	case p.token.kind == end:
		return nil, p.closing(open, ")")
	}
	inner, err := p.alternatives()
	if err == nil && p.token.isOperator() {
		err = p.unexpected()
	}
	if err != nil {
		return nil, err
	}
	return inner, p.closing(open, ")")
}

// closing reads the end of what open began.
func (p *parser) closing(open token, text string) error {
	switch {
	case p.token.is(text):
		return p.advance()
	case p.token.kind == end:
		return p.fail(open.at, "this %s is never closed", open)
	case p.token.is(")"), p.token.is("]"):
		return p.fail(p.token.at, "%s does not close %s", p.token, open)
	}
	return p.fail(p.token.at, "expected a comma or %s before %s", text, p.token)
}

func (p *parser) comparison() (condition, error) {
	first := p.token
	left, err := p.operand()
	if err != nil {
		return nil, err
	}
	op := p.token
	if !op.isOperator() {
		return p.alone(first, left)
	}
	if err := p.advance(); err != nil {
		return nil, err
	}
	second := p.token
	right, err := p.operand()
	if err != nil {
		return nil, err
	}
	c := comparison{op.text, left, right}
	if err := p.checkComparison(c, first, second); err != nil {
		return nil, err
	}
	return c.asText(), nil
}

func (p *parser) operand() (operand, error) {
	t := p.token
	if !p.beginsOperand() {
		return nil, p.missing()
	}
	if t.is("[") {
		return p.list()
	}
	if t.kind != word {
		return p.literal()
	}
	if err := p.checkWord(t); err != nil {
		return nil, err
	}
	if err := p.advance(); err != nil {
		return nil, err
	}
	if p.token.is("(") && (p.token.at == t.end() || t.plain() && functionOf(t.text) != nil) {
		return p.call(t)
	}
	return p.field(t), nil
}

func (p *parser) field(t token) *field {
	name := pathText(t.keys)
	f := p.known[name]
	if f == nil {
		f = &field{event.PathOf(t.keys...), name}
		p.known[name] = f
		p.paths = append(p.paths, f.path)
	}
	return f
}

// literal reads a string, a number, true, false or null.
func (p *parser) literal() (literal, error) {
	t := p.token
	var v event.Value
	switch {
	case t.kind == text:
		v = event.NewString(t.content)
	case t.kind == number:
		var ok bool
		if v, ok = parseNumber(t.text); !ok {
			return literal{}, p.fail(t.at, "this number is too large")
		}
	case t.is("null"):
		v = event.NewNull()
	default:
		v = event.NewBool(t.is("true"))
	}
	return literal{v}, p.advance()
}

func (p *parser) list() (operand, error) {
	open := p.token
	if err := p.advance(); err != nil {
		return nil, err
	}
	var items []event.Value
	for p.token.kind != end && (!p.token.is("]") || p.previous.is(",")) {
		switch {
		case p.token.kind == word || p.token.is("["):
			return nil, p.fail(p.token.at, "a list holds strings in quotes, numbers, true, false and null")
		case !p.beginsLiteral():
			return nil, p.missing()
		case len(items) == MaxItems:
			return nil, p.fail(p.token.at, "a list has at most %d items", MaxItems)
		}
		item, err := p.literal()
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
	return literal{event.NewArray(items)}, p.closing(open, "]")
}

// call reads the arguments of a function whose name has been read.
func (p *parser) call(name token) (operand, error) {
	c := &call{function: functionOf(name.text)}
	if c.function == nil || !name.plain() {
		return nil, p.fail(name.at, "unknown function %s%s", name, fault.DidYouMean(strings.ToLower(name.text), functionNames()))
	}
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer p.leave()
	open := p.token
	if err := p.advance(); err != nil {
		return nil, err
	}
	var places []token
	for p.token.kind != end && (!p.token.is(")") || p.previous.is(",")) {
		places = append(places, p.token)
		arg, err := p.operand()
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
	if err := p.closing(open, ")"); err != nil {
		return nil, err
	}
	return c, p.checkCall(c, name, places)
}

// compilePattern compiles the pattern of match where it is written in the query.
func (c *call) compilePattern() (ok bool) {
	pattern, isLiteral := c.args[1].(literal)
	if !isLiteral || c.function.name != "match" || !pattern.IsString() {
		return true
	}
	if utf8.RuneCountInString(pattern.Str()) > MaxPattern {
		return false
	}
	c.pattern = newGlob(pattern.Str())
	return true
}
