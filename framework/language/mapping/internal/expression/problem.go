package expression

import (
	"errors"
	"fmt"
	"regexp/syntax"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/parser"

	"github.com/landfall-dev/landfall/framework/fault"
)

// problemOf converts an error of the compiler to a problem with a position.
func problemOf(text string, err error) fault.Problem {
	var at *file.Error
	if !errors.As(err, &at) {
		return fault.Problem{Message: err.Error()}
	}
	p := fault.Problem{Line: at.Line, Column: at.Column + 1, Message: at.Message, Excerpt: at.Snippet}
	if tree, err := parser.Parse(text); err == nil {
		finder := patternFinder{}
		ast.Walk(&tree.Node, &finder)
		if finder.message != "" {
			p.Message = finder.message
		}
	}
	return p
}

// patternFinder finds the first regular expression that cannot be compiled.
type patternFinder struct{ message string }

// Visit checks one node.
func (f *patternFinder) Visit(node *ast.Node) {
	operation, ok := (*node).(*ast.BinaryNode)
	if !ok || operation.Operator != "matches" || f.message != "" {
		return
	}
	pattern, ok := operation.Right.(*ast.StringNode)
	if !ok {
		return
	}
	var wrong *syntax.Error
	if _, err := syntax.Parse(pattern.Value, syntax.Perl); errors.As(err, &wrong) {
		f.message = fmt.Sprintf("the regular expression %q cannot be used: %s at %q", pattern.Value, patternReason(wrong.Code), wrong.Expr)
	}
}

// patternReason says what is wrong with a regular expression.
func patternReason(code syntax.ErrorCode) string {
	switch code {
	case syntax.ErrMissingBracket:
		return "a [ is not closed"
	case syntax.ErrMissingParen:
		return "a ( is not closed"
	case syntax.ErrUnexpectedParen:
		return "a ) has no opening ("
	case syntax.ErrMissingRepeatArgument:
		return "there is nothing to repeat"
	case syntax.ErrInvalidRepeatOp:
		return "a repetition is repeated"
	case syntax.ErrInvalidRepeatSize:
		return "the number of repetitions is too large or reversed"
	case syntax.ErrInvalidEscape:
		return "there is no such escape"
	case syntax.ErrTrailingBackslash:
		return "the last character is a lone backslash"
	case syntax.ErrInvalidCharClass, syntax.ErrInvalidCharRange:
		return "there is no such class or range of characters"
	case syntax.ErrInvalidPerlOp:
		return "lookaheads and other groups with ? are not supported"
	}
	return code.String()
}
