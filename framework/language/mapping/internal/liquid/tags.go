package liquid

import (
	"errors"
	"fmt"
	"strings"

	"github.com/landfall-dev/landfall/framework/event"
)

// tag is an entry of the table of tags.
type tag struct {
	name     string
	syntax   string // how it is written, with its clauses and its end
	summary  string
	disabled bool                                          // Segment does not allow the tag
	compile  func(c *compiler, p piece) (statement, error) // for a tag that is rendered
	split    func(s *splitter, p piece) error              // for a tag that takes effect when the template is split
}

// tagTable lists all tags. An entry without functions continues or ends the block of another tag.
func tagTable() []tag {
	return []tag{
		{name: "#", syntax: "{% # note %}", summary: "Nothing: a comment, each line of which starts with `#`.", split: skipInlineComment},
		{name: "assign", syntax: "{% assign name = value | filter %}", summary: "Nothing: stores a value in a variable.", compile: compileAssign},
		{name: "capture", syntax: "{% capture name %}…{% endcapture %}", summary: "Nothing: stores the output of its content in a variable.", compile: compileCapture},
		{name: "comment", syntax: "{% comment %}…{% endcomment %}", summary: "Nothing.", split: skipComment},
		{name: "cycle", syntax: `{% cycle group: "a", "b" %}`, summary: "Its values in turn, one each time. The group is optional.", compile: compileCycle},
		{name: "decrement", syntax: "{% decrement counter %}", summary: "A counter after it is decreased by 1. It starts at 0.", compile: compileDecrement},
		{name: "echo", syntax: "{% echo value | filter %}", summary: "A value, as `{{ }}` prints it.", compile: compileEcho},
		{name: "if", syntax: "{% if a %}…{% elsif b %}…{% else %}…{% endif %}", summary: "The first part whose condition is true.", compile: compileIf},
		{name: "increment", syntax: "{% increment counter %}", summary: "A counter before it is increased by 1. It starts at 0.", compile: compileIncrement},
		{name: "liquid", syntax: "{% liquid … %}", summary: "Tags without `{%` and `%}`, one on each line.", split: addLines},
		{name: "raw", syntax: "{% raw %}…{% endraw %}", summary: "Its content, in which `{{` and `{%` mean nothing.", split: addRaw},
		{name: "unless", syntax: "{% unless a %}…{% elsif b %}…{% else %}…{% endunless %}", summary: "Like `if`, with the first condition negated.", compile: compileUnless},
		{name: "elsif"}, {name: "else"}, {name: "endcapture"}, {name: "endif"}, {name: "endunless"},
		{name: "case", disabled: true}, {name: "for", disabled: true}, {name: "include", disabled: true},
		{name: "layout", disabled: true}, {name: "render", disabled: true}, {name: "tablerow", disabled: true},
	}
}

// tagsByName returns the table of tags as a map.
func tagsByName() map[string]*tag {
	byName := map[string]*tag{}
	for _, t := range tagTable() {
		byName[t.name] = &t
	}
	return byName
}

func compileEcho(c *compiler, p piece) (statement, error) {
	if p.args == "" {
		return staticText(""), nil
	}
	return c.compileOutput(p)
}

func (c *compiler) compileOutput(p piece) (statement, error) {
	value, err := c.parseFiltered(p.args)
	if err != nil {
		return nil, err
	}
	return statementFunc(func(s *scope) error { return s.writeValue(value) }), nil
}

func compileAssign(c *compiler, p piece) (statement, error) {
	name, rest := identifier(p.args)
	rest, ok := strings.CutPrefix(strings.TrimSpace(rest), "=")
	if name == "" || !ok {
		return nil, errors.New(`expected a name and "="`)
	}
	value, err := c.parseFiltered(rest)
	if err != nil {
		return nil, err
	}
	c.uses.addVariable(name)
	return statementFunc(func(s *scope) error {
		v, err := value.eval(s)
		if err == nil {
			s.assign(name, v)
		}
		return err
	}), nil
}

func compileIncrement(c *compiler, p piece) (statement, error) {
	name, _ := identifier(p.args)
	c.uses.addVariable(name)
	return statementFunc(func(s *scope) error { return s.write(event.FormatFloat(s.addToCounter(name, 1))) }), nil
}

func compileDecrement(c *compiler, p piece) (statement, error) {
	name, _ := identifier(p.args)
	c.uses.addVariable(name)
	return statementFunc(func(s *scope) error { return s.write(event.FormatFloat(s.addToCounter(name, -1) - 1)) }), nil
}

// compileCycle compiles `a, b` or `group: a, b`.
func compileCycle(c *compiler, p piece) (statement, error) {
	group, values, err := c.parseCycle(p.args)
	if err != nil {
		return nil, err
	}
	key := strings.Join(strings.Fields(p.args), " ")
	return statementFunc(func(s *scope) error {
		key := key
		if group != nil {
			name, err := group.eval(s)
			if err != nil {
				return err
			}
			key = fmt.Sprintf("%s: %s", printText(name), key)
		}
		return s.writeValue(values[s.nextInCycle(key, len(values))])
	}), nil
}

func compileCapture(c *compiler, p piece) (statement, error) {
	name, _ := identifier(p.args)
	if n := quotedLen(p.args + " "); len(p.args) > 0 && isQuote(p.args[0]) && n > 0 {
		name = p.args[1 : n-1]
	}
	if name == "" {
		return nil, errors.New("expected a name")
	}
	c.uses.addVariable(name)
	inside, _, err := c.compileContent(p, []string{"endcapture"})
	if err != nil {
		return nil, err
	}
	return statementFunc(func(s *scope) error {
		text, err := s.capture(inside)
		if err != nil {
			return err
		}
		v := event.NewString(text)
		s.assign(name, v)
		return s.countWork(v)
	}), nil
}

// condition is an if or unless: it renders the first branch whose test is true.
type condition []branch

// branch is one alternative of a condition.
type branch struct {
	test node // nil for else
	body *content
}

func (c condition) render(s *scope) error {
	for _, b := range c {
		holds := b.test == nil
		if !holds {
			v, err := b.test.eval(s)
			if err != nil {
				return err
			}
			holds = isTrue(b.test, v)
		}
		if holds {
			return b.body.render(s)
		}
	}
	return nil
}

func compileIf(c *compiler, p piece) (statement, error) {
	return c.compileCondition(p, "endif", func(test node) node { return test })
}

func compileUnless(c *compiler, p piece) (statement, error) {
	return c.compileCondition(p, "endunless", func(test node) node { return not{test} })
}

// compileCondition compiles an if or unless, which ends at the tag end. first changes its first test.
func (c *compiler) compileCondition(open piece, end string, first func(node) node) (statement, error) {
	test, err := c.parseFiltered(open.args)
	if err != nil {
		return nil, err
	}
	branches, ends := condition{{test: first(test)}}, []string{"elsif", "else", end}
	for {
		body, p, err := c.compileContent(open, ends)
		if err != nil {
			return nil, err
		}
		last := &branches[len(branches)-1]
		last.body = body
		switch {
		case p.tag == end:
			return branches, nil
		case last.test == nil:
			return nil, p.errorAt(c.template, fmt.Errorf("%q comes after else", p.tag))
		}
		var next branch
		if p.tag == "elsif" {
			if next.test, err = c.parseFiltered(p.args); err != nil {
				return nil, p.errorAt(c.template, err)
			}
		}
		branches = append(branches, next)
	}
}
