package liquid

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// templateError is a mistake in a template, or the failure of a tag or output when it is rendered.
type templateError struct {
	cause        error
	source       string
	line, column int
}

func (e *templateError) Error() string {
	return fmt.Sprintf("%v in %s (line %d, column %d)", e.cause, truncateSource(e.source), e.line, e.column)
}

func (e *templateError) Unwrap() error { return e.cause }

// errorAt adds the position of the piece in a template to an error that has none. It returns nil if err is nil.
func (p piece) errorAt(template string, err error) error {
	var located *templateError
	if err == nil || errors.As(err, &located) {
		return err
	}
	before := template[:p.offset]
	start := strings.LastIndexByte(before, '\n') + 1
	return &templateError{err, p.source, 1 + strings.Count(before, "\n"), 1 + utf8.RuneCountInString(before[start:])}
}

// statement is a compiled text, output or tag. It writes to the output of the scope.
type statement interface {
	render(s *scope) error
}

// statementFunc is a statement without content.
type statementFunc func(s *scope) error

func (f statementFunc) render(s *scope) error { return f(s) }

// staticText is a statement that writes a text.
type staticText string

func (t staticText) render(s *scope) error { return s.write(string(t)) }

// content is what a template or one part of a block consists of.
type content struct {
	statements []statement
	pieces     []piece // the piece of each statement
}

func (c *content) render(s *scope) error {
	for i, st := range c.statements {
		if err := st.render(s); err != nil {
			return c.pieces[i].errorAt(s.template, err)
		}
	}
	return nil
}

// compiler compiles the pieces of a template.
type compiler struct {
	expressionParser
	template string
	tags     map[string]*tag
	pieces   []piece // those that are not compiled yet
}

// compileTemplate compiles all pieces.
func (c *compiler) compileTemplate() (*content, error) {
	whole, _, err := c.compileContent(piece{}, nil)
	return whole, err
}

// compileContent compiles pieces up to one of the tags ends, which it also returns: the next clause of the block that open opens,
// or its end. Without ends it compiles all pieces.
func (c *compiler) compileContent(open piece, ends []string) (*content, piece, error) {
	inside := &content{}
	for len(c.pieces) > 0 {
		p := c.pieces[0]
		c.pieces = c.pieces[1:]
		for _, end := range ends {
			if p.tag == end {
				return inside, p, nil
			}
		}
		st, err := c.compilePiece(p)
		if err != nil {
			return nil, p, p.errorAt(c.template, err)
		}
		inside.statements, inside.pieces = append(inside.statements, st), append(inside.pieces, p)
	}
	if len(ends) > 0 {
		return nil, open, open.errorAt(c.template, fmt.Errorf("the block is not closed by {%% %s %%}", ends[len(ends)-1]))
	}
	return inside, piece{}, nil
}

func (c *compiler) compilePiece(p piece) (statement, error) {
	switch p.tag {
	case textPiece:
		return staticText(p.args), nil
	case outputPiece:
		return c.compileOutput(p)
	}
	t := c.tags[p.tag]
	if t.compile == nil {
		return nil, fmt.Errorf("no open block accepts %q", p.tag)
	}
	return t.compile(c, p)
}
