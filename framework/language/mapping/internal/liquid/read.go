package liquid

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/landfall-dev/landfall/framework/event"
)

// reader compiles expressions.
type reader struct {
	filters map[string]filter
	uses    *uses
}

// filtered compiles a value with the filters that follow it.
func (r reader) filtered(text string) (node, error) {
	c := &cursor{text: text, uses: r.uses}
	n, err := c.value()
	if err != nil {
		return nil, err
	}
	for c.space(); c.at < len(c.text); c.space() {
		if !c.take("|") {
			return nil, fmt.Errorf("expected %q before %s", "|", shortened(c.rest()))
		}
		if n, err = r.filter(c, n); err != nil {
			return nil, err
		}
	}
	return n, nil
}

// filter reads one filter with its arguments.
func (r reader) filter(c *cursor, input node) (node, error) {
	name := c.name()
	if name == "" {
		return nil, fmt.Errorf("expected a filter after %q", "|")
	}
	if slices.Contains(disabledFilters, name) {
		return nil, fmt.Errorf("filter %q is disabled", name)
	}
	f := &filtered{name: name, input: input, apply: r.filters[name]}
	if f.apply == nil {
		r.uses.unknownFilter(name)
	}
	if c.space(); !c.take(":") {
		return f.orInput(), nil
	}
	for c.space(); c.at < len(c.text) && c.text[c.at] != '|'; c.space() {
		if err := c.argument(f); err != nil {
			return nil, err
		}
		if c.space(); !c.take(",") {
			break
		}
	}
	return f.orInput(), nil
}

// argument reads an argument, or a named one.
func (c *cursor) argument(f *filtered) error {
	from := c.at
	if name := c.name(); name != "" {
		if c.space(); c.take(":") {
			v, err := c.operand()
			if name == "allow_false" {
				f.allowFalse = v
			}
			return err
		}
	}
	c.at = from
	v, err := c.operand()
	f.args = append(f.args, v)
	return err
}

// cycle compiles the arguments of a cycle tag. The group is nil where there is none.
func (r reader) cycle(text string) (group node, values []node, err error) {
	c := &cursor{text: text, uses: r.uses}
	if group, err = c.operand(); err != nil {
		return nil, nil, errors.New("expected values divided by commas")
	}
	if c.space(); !c.take(":") {
		group, c.at = nil, 0
	}
	for {
		v, err := c.operand()
		if err != nil {
			return nil, nil, err
		}
		values = append(values, v)
		if c.space(); !c.take(",") {
			break
		}
	}
	if c.at < len(c.text) {
		return nil, nil, fmt.Errorf("unexpected %s", shortened(c.rest()))
	}
	return group, values, nil
}

// cursor reads an expression from the left to the right.
type cursor struct {
	text string
	at   int
	uses *uses
}

func (c *cursor) rest() string { return c.text[c.at:] }

func (c *cursor) space() {
	c.at = len(c.text) - len(strings.TrimLeftFunc(c.rest(), unicode.IsSpace))
}

func (c *cursor) take(token string) bool {
	if strings.HasPrefix(c.rest(), token) {
		c.at += len(token)
		return true
	}
	return false
}

// word takes a word that no letter follows.
func (c *cursor) word(word string) bool {
	if name, _ := identifier(c.rest()); name == word {
		c.at += len(word)
		return true
	}
	return false
}

// name takes a name, "" where there is none.
func (c *cursor) name() string {
	c.space()
	name, _ := identifier(c.rest())
	c.at += len(name)
	return name
}

// identifier divides text after the name it begins with. Names hold letters, digits, - and ?.
func identifier(text string) (name, rest string) {
	end := strings.IndexFunc(text, func(r rune) bool {
		return r != '_' && r != '-' && r != '?' && !unicode.IsLetter(r) && !unicode.IsDigit(r)
	})
	if end < 0 {
		end = len(text)
	}
	return text[:end], text[end:]
}

// value reads conditions; and and or are of one rank and what is on the right goes first.
func (c *cursor) value() (node, error) {
	left, err := c.negation()
	if err != nil {
		return nil, err
	}
	c.space()
	for _, op := range []string{"and", "or"} {
		if c.word(op) {
			right, err := c.value()
			return junction{left, right, op == "and"}, err
		}
	}
	return left, nil
}

func (c *cursor) negation() (node, error) {
	if c.space(); c.word("not") {
		inner, err := c.negation()
		return not{inner}, err
	}
	return c.comparison()
}

func (c *cursor) comparison() (node, error) {
	left, err := c.operand()
	if err != nil {
		return nil, err
	}
	c.space()
	if c.word("contains") {
		right, err := c.comparison()
		return contains{left, right}, err
	}
	for _, op := range []string{"==", "!=", ">=", "<=", ">", "<"} {
		if c.take(op) {
			right, err := c.comparison()
			return comparison{op, left, right}, err
		}
	}
	return left, nil
}

// operand reads a literal, a range, or a variable with its properties.
func (c *cursor) operand() (node, error) {
	c.space()
	rest := c.rest()
	switch {
	case rest == "":
		return nil, errors.New("expected a value")
	case isQuote(rest[0]):
		return c.quoted()
	case rest[0] == '(':
		return c.span()
	}
	if n := numberLen(rest); n > 0 {
		c.at += n
		f, _ := strconv.ParseFloat(rest[:n], 64) // only out of range can be wrong: infinite
		return literal{numeric(f)}, nil
	}
	return c.variable()
}

func isQuote(b byte) bool { return b == '\'' || b == '"' }

// numberLen is the length of the number that text begins with, 0 where it begins with none, such as 1e3 or 1st.
func numberLen(text string) int {
	i := len(text) - len(strings.TrimPrefix(text, "-"))
	digits := skipDigits(text, i)
	if digits == i {
		return 0
	}
	if fraction := skipDigits(text, digits+1); digits < len(text) && text[digits] == '.' && fraction > digits+1 {
		digits = fraction
	}
	if name, _ := identifier(text[digits:]); name != "" && name[0] != '-' {
		return 0
	}
	return digits
}

func skipDigits(text string, i int) int {
	for i < len(text) && text[i]-'0' <= 9 {
		i++
	}
	return i
}

func (c *cursor) quoted() (node, error) {
	n := quotedLen(c.rest())
	if n < 0 {
		return nil, fmt.Errorf("the quote of %s is not closed", shortened(c.rest()))
	}
	s := c.rest()[1 : n-1]
	c.at += n
	return literal{event.NewString(unescape(s))}, nil
}

// unescape reads \n, \u00e9 and their like; any other character after a backslash stands for itself.
func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for s != "" {
		head, tail, _ := strings.Cut(s, `\`)
		b.WriteString(head)
		if s = tail; s == "" {
			break
		}
		r, size := utf8.DecodeRuneInString(s)
		switch r {
		case 'n', 't', 'r', 'b', 'f', 'v':
			r = map[rune]rune{'n': '\n', 't': '\t', 'r': '\r', 'b': '\b', 'f': '\f', 'v': '\v'}[r]
		case 'u':
			if n, err := strconv.ParseUint(s[1:min(5, len(s))], 16, 16); err == nil && len(s) >= 5 {
				r, size = rune(n), 5
			}
		}
		b.WriteRune(r)
		s = s[size:]
	}
	return b.String()
}

// span reads a range such as (1..5).
func (c *cursor) span() (node, error) {
	c.at++
	from, err := c.operand()
	if err != nil {
		return nil, err
	}
	if c.space(); !c.take("..") {
		return nil, errors.New("expected a range such as (1..5)")
	}
	to, err := c.operand()
	if err != nil {
		return nil, err
	}
	if c.space(); !c.take(")") {
		return nil, errors.New("expected a range such as (1..5)")
	}
	return c.properties(span{from, to})
}

// variable reads a name, or a key in brackets, with the properties that follow.
func (c *cursor) variable() (node, error) {
	name := c.name()
	if name == "" && !strings.HasPrefix(c.rest(), "[") {
		return nil, fmt.Errorf("unexpected %s", shortened(c.rest()))
	}
	if name == "" {
		return c.read(root{})
	}
	if !strings.HasPrefix(c.rest(), ".") && !strings.HasPrefix(c.rest(), "[") {
		if n, ok := constant(name); ok {
			return n, nil
		}
	}
	return c.read(variable{name})
}

// read reads the properties of a variable and notes what the template reads.
func (c *cursor) read(n node) (node, error) {
	n, err := c.properties(n)
	if err == nil {
		c.uses.read(n)
	}
	return n, err
}

// constant is the value of a word that is no variable.
func constant(name string) (node, bool) {
	switch name {
	case "true", "false":
		return literal{event.NewBool(name == "true")}, true
	case "nil", "null", "empty", "blank":
		return special(strings.Replace(name, "null", "nil", 1)), true
	}
	return nil, false
}

// properties reads .name and [expression], as many as there are.
func (c *cursor) properties(n node) (node, error) {
	for {
		switch {
		case strings.HasPrefix(c.rest(), "..") || !strings.HasPrefix(c.rest(), ".") && !strings.HasPrefix(c.rest(), "["):
			return n, nil
		case c.take("."):
			name := c.name()
			if name == "" {
				return nil, errors.New(`expected a name after "."`)
			}
			n = member{n, literal{event.NewString(name)}}
		case c.take("["):
			key, err := c.operand()
			if err != nil {
				return nil, err
			}
			if c.space(); !c.take("]") {
				return nil, errors.New(`expected "]"`)
			}
			n = member{n, key}
		}
	}
}
