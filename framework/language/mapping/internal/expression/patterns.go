package expression

import (
	"fmt"
	"regexp"

	"github.com/expr-lang/expr/ast"

	"github.com/landfall-dev/landfall/framework/fault"
)

// callPatcher binds calls to the functions of the table. It compiles the regular expressions of extract and substitute once, together
// with the expression. A pattern that is not constant, or not valid, is a problem.
type callPatcher struct {
	patterns map[string]int // by function, the index of the pattern argument; 0 if it has none
	problem  *fault.Problem
}

func newCallPatcher() *callPatcher {
	p := &callPatcher{patterns: map[string]int{}}
	for _, f := range functionTable() {
		p.patterns[f.name] = f.pattern
	}
	return p
}

// Visit implements ast.Visitor.
func (p *callPatcher) Visit(node *ast.Node) {
	call, ok := (*node).(*ast.CallNode)
	if !ok {
		return
	}
	id, ok := call.Callee.(*ast.IdentifierNode)
	if !ok {
		return
	}
	at, ok := p.patterns[id.Value]
	if !ok {
		return
	}
	call.Callee = &ast.IdentifierNode{Value: internalPrefix + id.Value}
	if at == 0 || at >= len(call.Arguments) {
		return
	}
	switch pattern := call.Arguments[at].(type) {
	case *ast.ConstantNode: // compiled already
	case *ast.StringNode:
		compiled, err := regexp.Compile(pattern.Value)
		if err != nil {
			p.addProblem(call, fmt.Sprintf("%s has a pattern that is not a regular expression: %v", id.Value, err))
			return
		}
		call.Arguments[at] = &ast.ConstantNode{Value: compiled}
	default:
		p.addProblem(call, id.Value+" needs a constant text as pattern")
	}
}

func (p *callPatcher) addProblem(call *ast.CallNode, message string) {
	if p.problem == nil {
		p.problem = &fault.Problem{Line: 1, Column: call.Location().From + 1, Message: message}
	}
}

// patternArguments returns the text and the pattern of extract and substitute. ok is false if the text is nil.
func patternArguments(args []any) (text string, pattern *regexp.Regexp, ok bool, err error) {
	pattern, isPattern := args[1].(*regexp.Regexp)
	if !isPattern {
		return "", nil, false, fmt.Errorf("a pattern is needed, not %T", args[1])
	}
	text, ok, err = scalarText(args[0])
	return text, pattern, ok, err
}

func extractMatch(args []any) (any, error) {
	text, pattern, ok, err := patternArguments(args)
	if err != nil || !ok {
		return nil, err
	}
	match := pattern.FindStringSubmatch(text)
	switch {
	case match == nil:
		return nil, nil
	case len(match) > 1:
		return match[1], nil
	}
	return match[0], nil
}

func substituteMatches(args []any) (any, error) {
	text, pattern, ok, err := patternArguments(args)
	if err != nil || !ok {
		return nil, err
	}
	by, _, err := scalarText(args[2])
	if err != nil {
		return nil, err
	}
	return pattern.ReplaceAllLiteralString(text, by), nil
}
