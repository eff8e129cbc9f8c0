package expression

import (
	"errors"
	"fmt"
	"regexp/syntax"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/parser"

	"github.com/landfall-dev/landfall/framework/fault"
)

// problemOf converts an error of the compiler to a problem with a position, in words about the text.
func problemOf(text string, err error) fault.Problem {
	var at *file.Error
	if !errors.As(err, &at) {
		return fault.Problem{Message: "the expression cannot be compiled: " + err.Error()}
	}
	p := fault.Problem{Line: at.Line, Column: at.Column + 1, Message: at.Message, Excerpt: at.Snippet}
	tree, parseErr := parser.Parse(text)
	if parseErr != nil {
		p.Message = explainSyntax(text, at.Line, at.Column)
		return p
	}
	finder := nodeFinder{location: at.Location}
	ast.Walk(&tree.Node, &finder)
	switch {
	case finder.pattern != "":
		p.Message = finder.pattern
	case finder.nodes > MaxNodes:
		p.Message = fmt.Sprintf("the expression has %d parts: at most %d are allowed", finder.nodes, MaxNodes)
	case finder.found != nil:
		p.Message = explainNode(finder.found)
	}
	return p
}

// explainSyntax says why an expression cannot be read from a line, from 1, and a column, from 0.
func explainSyntax(text string, line, column int) string {
	open, quote := scanOpen(text)
	word := wordAt(text, offsetOf(text, line, column))
	r, _ := utf8.DecodeRuneInString(word)
	switch {
	case strings.TrimSpace(text) == "":
		return "the expression is empty"
	case quote != 0:
		return fmt.Sprintf("the text that begins with %c is not closed", quote)
	case unicode.IsDigit(r) && strings.TrimLeft(word, "0123456789") != "" || len(word) > 18 && strings.Trim(word, "0123456789") == "":
		return fmt.Sprintf("%.40q is no number, or too large", word)
	case strings.LastIndex(text, "/*") > strings.LastIndex(text, "*/"):
		return "the comment that begins with /* is not closed"
	case open != 0 && endsTooEarly(text):
		return fmt.Sprintf("the expression ends, but a %c is not closed", open)
	case endsTooEarly(text):
		return "the expression ends too early: something should follow this"
	case strings.ContainsRune("\"'`", r):
		return "this text contains an escape that does not exist"
	case strings.ContainsRune(")]}", r):
		if before, _ := scanOpen(text[:offsetOf(text, line, column)]); before == 0 {
			return fmt.Sprintf("this %c closes no bracket that is open", r)
		}
	}
	return fmt.Sprintf("%.40q does not fit here: something is missing before it, or it is not part of the language", word)
}

// endsTooEarly reports whether an expression that cannot be read is right as far as it goes: a further value is refused only for itself.
func endsTooEarly(text string) bool {
	var at *file.Error
	_, err := parser.Parse(text + " 0")
	return err == nil || errors.As(err, &at) && offsetOf(text, at.Line, at.Column) >= len(text)
}

// wordAt returns the name, number, text or sign that contains a byte of the text.
func wordAt(text string, at int) string {
	isWord := func(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) || r == '_' || r == '.' }
	if _, quote := scanOpen(text[:at]); quote != 0 {
		return text[strings.LastIndexByte(text[:at], byte(quote)):]
	}
	start := at
	for start > 0 && at < len(text) {
		r, size := utf8.DecodeLastRuneInString(text[:start])
		if here, _ := utf8.DecodeRuneInString(text[at:]); !isWord(r) || !isWord(here) {
			break
		}
		start -= size
	}
	word := strings.TrimLeftFunc(text[start:], unicode.IsSpace)
	switch end := strings.IndexFunc(word, func(r rune) bool { return !isWord(r) }); {
	case end > 0:
		return word[:end]
	case end == 0:
		_, size := utf8.DecodeRuneInString(word)
		return word[:size]
	}
	return word
}

// offsetOf returns the byte of a line, from 1, and a column of characters, from 0.
func offsetOf(text string, line, column int) int {
	at := 0
	for range line - 1 {
		next := strings.IndexByte(text[at:], '\n')
		if next < 0 {
			break
		}
		at += next + 1
	}
	for ; column > 0 && at < len(text); column-- {
		_, size := utf8.DecodeRuneInString(text[at:])
		at += size
	}
	return at
}

// scanOpen returns the innermost bracket and the quote that are open at the end of a text, 0 if there are none.
func scanOpen(text string) (open, quote rune) {
	var brackets []rune
	escaped := false
	for _, r := range text {
		switch {
		case escaped:
			escaped = false
		case quote != 0 && r == '\\' && quote != '`':
			escaped = true
		case quote != 0:
			if r == quote {
				quote = 0
			}
		case strings.ContainsRune("\"'`", r):
			quote = r
		case strings.ContainsRune("([{", r):
			brackets = append(brackets, r)
		case strings.ContainsRune(")]}", r) && len(brackets) > 0:
			brackets = brackets[:len(brackets)-1]
		}
	}
	if len(brackets) > 0 {
		open = brackets[len(brackets)-1]
	}
	return open, quote
}

// nodeFinder finds the innermost node at a location, and the first regular expression that cannot be compiled.
type nodeFinder struct {
	location file.Location
	found    ast.Node
	pattern  string
	nodes    int
}

// Visit checks one node. The nodes inside of a node are visited before it.
func (f *nodeFinder) Visit(node *ast.Node) {
	f.nodes++
	if f.found == nil && (*node).Location() == f.location {
		f.found = *node
	}
	if f.pattern == "" {
		f.pattern = patternMistake(*node)
	}
}

// explainNode says why a node cannot be compiled.
func explainNode(node ast.Node) string {
	switch n := node.(type) {
	case *ast.BinaryNode:
		return fmt.Sprintf("%s cannot be used on %s and %s", n.Operator, kindOf(n.Left), kindOf(n.Right))
	case *ast.UnaryNode:
		return fmt.Sprintf("%s cannot be used on %s", n.Operator, kindOf(n.Node))
	case *ast.BuiltinNode:
		return fmt.Sprintf("%s cannot be called with %s", n.Name, describeArguments(n.Arguments))
	case *ast.CallNode:
		if name, ok := n.Callee.(*ast.IdentifierNode); ok {
			return fmt.Sprintf("%s cannot be called with %s", name.Value, describeArguments(n.Arguments))
		}
		return "this value is no function and cannot be called"
	case *ast.PointerNode:
		return "# and a leading dot stand for an item, and can only be used inside the brackets of map, filter and similar functions"
	case *ast.VariableDeclaratorNode:
		return fmt.Sprintf("the name %q is taken already", n.Name)
	case *ast.MemberNode:
		return fmt.Sprintf("%s has no such field or item", kindOf(n.Node))
	}
	return kindOf(node) + " does not fit here: another kind of value is needed"
}

// describeArguments describes the arguments of a call.
func describeArguments(arguments []ast.Node) string {
	if len(arguments) == 0 {
		return "no arguments"
	}
	kinds := make([]string, len(arguments))
	for i, argument := range arguments {
		kinds[i] = kindOf(argument)
	}
	return strings.Join(kinds, ", ")
}

// kindOf describes the value of a node in the words of JSON, as far as it is written in the expression.
func kindOf(node ast.Node) string {
	switch n := node.(type) {
	case *ast.NilNode:
		return "null"
	case *ast.IntegerNode, *ast.FloatNode:
		return "a number"
	case *ast.StringNode:
		return "a text"
	case *ast.BoolNode:
		return "a boolean"
	case *ast.ArrayNode:
		return "a list"
	case *ast.MapNode:
		return "an object"
	case *ast.PredicateNode:
		return "a condition"
	case *ast.UnaryNode:
		return kindOf(n.Node)
	case *ast.BuiltinNode:
		return "the result of " + n.Name
	case *ast.CallNode:
		if name, ok := n.Callee.(*ast.IdentifierNode); ok {
			return "the result of " + name.Value
		}
	case *ast.BinaryNode:
		return "the result of " + n.Operator
	}
	return "a value of the event"
}

// patternMistake says what is wrong with the regular expression of a node; "" if there is none or it is right.
func patternMistake(node ast.Node) string {
	operation, ok := node.(*ast.BinaryNode)
	if !ok || operation.Operator != "matches" {
		return ""
	}
	pattern, ok := operation.Right.(*ast.StringNode)
	if !ok {
		return ""
	}
	var wrong *syntax.Error
	if _, err := syntax.Parse(pattern.Value, syntax.Perl); errors.As(err, &wrong) {
		return fmt.Sprintf("the regular expression %q cannot be used: %s at %q", pattern.Value, patternReason(wrong.Code), wrong.Expr)
	}
	return ""
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
