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

// expressionParser compiles expressions.
type expressionParser struct {
	filters map[string]filter
	uses    *uses
}

// parseFiltered compiles a value and the filters that follow it.
func (r expressionParser) parseFiltered(text string) (node, error) {
	c := &cursor{text: text, uses: r.uses}
	n, err := c.parseValue()
	if err != nil {
		return nil, err
	}
	for c.skipSpace(); c.pos < len(c.text); c.skipSpace() {
		if !c.skipPrefix("|") {
			return nil, fmt.Errorf("expected %q before %s", "|", truncateSource(c.rest()))
		}
		if n, err = r.parseFilter(c, n); err != nil {
			return nil, err
		}
	}
	return n, nil
}

// parseFilter parses one filter and its arguments.
func (r expressionParser) parseFilter(c *cursor, input node) (node, error) {
	name := c.readName()
	if name == "" {
		return nil, fmt.Errorf("expected a filter after %q", "|")
	}
	if slices.Contains(disabledFilters, name) {
		return nil, fmt.Errorf("filter %q is disabled", name)
	}
	r.uses.addFilter(name)
	f := &filtered{name: name, input: input, apply: r.filters[name]}
	if c.skipSpace(); !c.skipPrefix(":") {
		return f.orInput(), nil
	}
	for c.skipSpace(); c.pos < len(c.text) && c.text[c.pos] != '|'; c.skipSpace() {
		if err := c.parseArgument(f); err != nil {
			return nil, err
		}
		if c.skipSpace(); !c.skipPrefix(",") {
			break
		}
	}
	return f.orInput(), nil
}

// parseArgument parses a positional or named argument.
func (c *cursor) parseArgument(f *filtered) error {
	from := c.pos
	if name := c.readName(); name != "" {
		if c.skipSpace(); c.skipPrefix(":") {
			v, err := c.parseOperand()
			if name == "allow_false" {
				f.allowFalse = v
			}
			return err
		}
	}
	c.pos = from
	v, err := c.parseOperand()
	f.args = append(f.args, v)
	return err
}

// parseCycle compiles the arguments of a cycle tag. group is nil if there is none.
func (r expressionParser) parseCycle(text string) (group node, values []node, err error) {
	c := &cursor{text: text, uses: r.uses}
	if group, err = c.parseOperand(); err != nil {
		return nil, nil, errors.New("expected values separated by commas")
	}
	if c.skipSpace(); !c.skipPrefix(":") {
		group, c.pos = nil, 0
	}
	for {
		v, err := c.parseOperand()
		if err != nil {
			return nil, nil, err
		}
		values = append(values, v)
		if c.skipSpace(); !c.skipPrefix(",") {
			break
		}
	}
	if c.pos < len(c.text) {
		return nil, nil, fmt.Errorf("unexpected %s", truncateSource(c.rest()))
	}
	return group, values, nil
}

// cursor parses an expression from left to right.
type cursor struct {
	text string
	pos  int
	uses *uses
}

func (c *cursor) rest() string { return c.text[c.pos:] }

func (c *cursor) skipSpace() {
	c.pos = len(c.text) - len(strings.TrimLeftFunc(c.rest(), unicode.IsSpace))
}

func (c *cursor) skipPrefix(token string) bool {
	if strings.HasPrefix(c.rest(), token) {
		c.pos += len(token)
		return true
	}
	return false
}

// skipWord skips a word that is not followed by another letter, and reports whether it was present.
func (c *cursor) skipWord(word string) bool {
	if name, _ := identifier(c.rest()); name == word {
		c.pos += len(word)
		return true
	}
	return false
}

// readName reads a name. It returns "" if there is none.
func (c *cursor) readName() string {
	c.skipSpace()
	name, _ := identifier(c.rest())
	c.pos += len(name)
	return name
}

// identifier splits text after the name at its beginning. Names consist of letters, digits, _, - and ?.
func identifier(text string) (name, rest string) {
	end := strings.IndexFunc(text, func(r rune) bool {
		return r != '_' && r != '-' && r != '?' && !unicode.IsLetter(r) && !unicode.IsDigit(r)
	})
	if end < 0 {
		end = len(text)
	}
	return text[:end], text[end:]
}

// parseValue parses conditions. and and or have the same precedence and are right-associative.
func (c *cursor) parseValue() (node, error) {
	left, err := c.parseNegation()
	if err != nil {
		return nil, err
	}
	c.skipSpace()
	for _, op := range []string{"and", "or"} {
		if c.skipWord(op) {
			right, err := c.parseValue()
			return junction{left, right, op == "and"}, err
		}
	}
	return left, nil
}

func (c *cursor) parseNegation() (node, error) {
	if c.skipSpace(); c.skipWord("not") {
		inner, err := c.parseNegation()
		return not{inner}, err
	}
	return c.parseComparison()
}

func (c *cursor) parseComparison() (node, error) {
	left, err := c.parseOperand()
	if err != nil {
		return nil, err
	}
	c.skipSpace()
	if c.skipWord("contains") {
		right, err := c.parseComparison()
		return contains{left, right}, err
	}
	for _, op := range []string{"==", "!=", ">=", "<=", ">", "<"} {
		if c.skipPrefix(op) {
			right, err := c.parseComparison()
			return comparison{op, left, right}, err
		}
	}
	return left, nil
}

// parseOperand parses a literal, a range, or a variable with its properties.
func (c *cursor) parseOperand() (node, error) {
	c.skipSpace()
	rest := c.rest()
	switch {
	case rest == "":
		return nil, errors.New("expected a value")
	case isQuote(rest[0]):
		return c.parseQuoted()
	case rest[0] == '(':
		return c.parseRange()
	}
	if n := numberLen(rest); n > 0 {
		c.pos += n
		f, _ := strconv.ParseFloat(rest[:n], 64) // the only possible error is out of range: f is infinite
		return literal{numberValue(f)}, nil
	}
	return c.parseVariable()
}

func isQuote(b byte) bool { return b == '\'' || b == '"' }

// numberLen returns the length of the number at the beginning of text, or 0 if there is none, as in 1e3 or 1st.
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

func (c *cursor) parseQuoted() (node, error) {
	n := quotedLen(c.rest())
	if n < 0 {
		return nil, fmt.Errorf("the quote of %s is not closed", truncateSource(c.rest()))
	}
	s := c.rest()[1 : n-1]
	c.pos += n
	return literal{event.NewString(unescape(s))}, nil
}

// unescape decodes escapes such as \n and \u00e9. A backslash before any other character is dropped.
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

// parseRange parses a range such as (1..5).
func (c *cursor) parseRange() (node, error) {
	c.pos++
	from, err := c.parseOperand()
	if err != nil {
		return nil, err
	}
	if c.skipSpace(); !c.skipPrefix("..") {
		return nil, errors.New("expected a range such as (1..5)")
	}
	to, err := c.parseOperand()
	if err != nil {
		return nil, err
	}
	if c.skipSpace(); !c.skipPrefix(")") {
		return nil, errors.New("expected a range such as (1..5)")
	}
	return c.parseProperties(numberRange{from, to})
}

// parseVariable parses a name, or a key in brackets, and the properties that follow it.
func (c *cursor) parseVariable() (node, error) {
	name := c.readName()
	if name == "" && !strings.HasPrefix(c.rest(), "[") {
		return nil, fmt.Errorf("unexpected %s", truncateSource(c.rest()))
	}
	if name == "" {
		return c.parseReference(root{})
	}
	if !strings.HasPrefix(c.rest(), ".") && !strings.HasPrefix(c.rest(), "[") {
		if n, ok := constant(name); ok {
			return n, nil
		}
	}
	return c.parseReference(variable{name})
}

// parseReference parses the properties of a variable and records that the template reads it.
func (c *cursor) parseReference(n node) (node, error) {
	n, err := c.parseProperties(n)
	if err == nil {
		c.uses.addPath(n)
	}
	return n, err
}

// constant returns the value of a word that is not a variable.
func constant(name string) (node, bool) {
	switch name {
	case "true", "false":
		return literal{event.NewBool(name == "true")}, true
	case "nil", "null", "empty", "blank":
		return special(strings.Replace(name, "null", "nil", 1)), true
	}
	return nil, false
}

// parseProperties parses any number of .name and [expression].
func (c *cursor) parseProperties(n node) (node, error) {
	for {
		switch {
		case strings.HasPrefix(c.rest(), "..") || !strings.HasPrefix(c.rest(), ".") && !strings.HasPrefix(c.rest(), "["):
			return n, nil
		case c.skipPrefix("."):
			name := c.readName()
			if name == "" {
				return nil, errors.New(`expected a name after "."`)
			}
			n = member{n, literal{event.NewString(name)}}
		case c.skipPrefix("["):
			key, err := c.parseOperand()
			if err != nil {
				return nil, err
			}
			if c.skipSpace(); !c.skipPrefix("]") {
				return nil, errors.New(`expected "]"`)
			}
			n = member{n, key}
		}
	}
}
