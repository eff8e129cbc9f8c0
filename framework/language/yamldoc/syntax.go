package yamldoc

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/token"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
)

// syntaxProblem returns the problem of a text that is not valid YAML, in words about the text.
func (d *Document) syntaxProblem(text []byte, err error) fault.Problem {
	p := fault.Problem{File: d.name, Line: 1, Column: 1, Message: "cannot be read as YAML"}
	var known yaml.Error
	if !errors.As(err, &known) || known.GetToken() == nil || known.GetToken().Position == nil {
		return p
	}
	at := known.GetToken().Position
	p.Line, p.Column = at.Line, at.Column
	p.Message = explainSyntax(string(text), at.Line, at.Column)
	return p
}

// explainSyntax says what is wrong at a place that the parser rejects, from the text around it.
func explainSyntax(text string, line, column int) string {
	rest := textFrom(text, line, column)
	here, size := utf8.DecodeRuneInString(rest)
	switch {
	case (here == '"' || here == '\'') && !strings.ContainsRune(rest[size:], here):
		return fmt.Sprintf("the text that begins with %c here is not closed by another %c", here, here)
	case here == '\t', beginsWithTab(text, line):
		return "the line begins with a tab: indent with spaces"
	case here == '{' && beginsTemplate(text, line, column):
		return `a text that begins with {{ needs quotes: write "{{…}}"`
	case here != 0 && strings.ContainsRune("@`%", here):
		return fmt.Sprintf("a text cannot begin with %c: put it in quotes", here)
	case here == '[' || here == '{':
		return fmt.Sprintf("this %c is not closed: a %s or a comma between two entries is missing", here, closing(here))
	}
	if open := openBracket(text, line, column); open != nil {
		bracket := rune(open.Value[0])
		return fmt.Sprintf("does not belong into the %c that begins in line %d, column %d: a comma between two entries or the closing %s is missing",
			bracket, open.Position.Line, open.Position.Column, closing(bracket))
	}
	if here == ']' || here == '}' {
		return fmt.Sprintf("this %c has no opening bracket", here)
	}
	return "does not match the lines above: check the indentation, the colon and space after each key, and quotes around texts with a colon in them"
}

// beginsTemplate reports whether a brace is one of two that begin a template, such as {{settings.key}}.
func beginsTemplate(text string, line, column int) bool {
	return strings.HasPrefix(textFrom(text, line, column), "{{") || column > 1 && strings.HasPrefix(textFrom(text, line, column-1), "{{")
}

// beginsWithTab reports whether the indentation of a line, from 1, has a tab.
func beginsWithTab(text string, line int) bool {
	rest := textFrom(text, line, 1)
	return strings.HasPrefix(strings.TrimLeft(rest, " "), "\t")
}

func closing(bracket rune) string {
	if bracket == '[' {
		return "]"
	}
	return "}"
}

// textFrom returns the text from a line and column on, both from 1.
func textFrom(text string, line, column int) string {
	for range line - 1 {
		_, text, _ = strings.Cut(text, "\n")
	}
	for range column - 1 {
		_, size := utf8.DecodeRuneInString(text)
		text = text[size:]
	}
	return text
}

// openBracket returns the innermost bracket that is open at a place, nil if there is none.
func openBracket(text string, line, column int) *token.Token {
	var open []*token.Token
	for _, t := range lexer.Tokenize(text) {
		if t.Position.Line > line || t.Position.Line == line && t.Position.Column >= column {
			break
		}
		switch t.Type {
		case token.SequenceStartType, token.MappingStartType:
			open = append(open, t)
		case token.SequenceEndType, token.MappingEndType:
			if len(open) > 0 {
				open = open[:len(open)-1]
			}
		}
	}
	if len(open) == 0 {
		return nil
	}
	return open[len(open)-1]
}

// checkDepth rejects a text with brackets nested too deeply for a recursive parser, with the place of the first bracket that is too
// deep.
func (d *Document) checkDepth(text []byte) error {
	depth, line, column := 0, 1, 0
	for _, c := range string(text) {
		column++
		switch c {
		case '\n':
			line, column = line+1, 0
		case '[', '{':
			if depth++; depth > event.MaxDepth {
				return fault.Problems{{File: d.name, Line: line, Column: column, Message: fmt.Sprintf("is nested deeper than %d", event.MaxDepth)}}
			}
		case ']', '}':
			depth--
		}
	}
	return nil
}
