package expression

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/builtin"
)

// budget bounds one evaluation: its predicates, and the bytes of all texts, lists and maps that it makes.
type budget struct{ steps, bytes int }

// Sizes that are charged beside those of texts.
const (
	elementBytes = 16
	maxBytes     = 16 << 20 // of what an evaluation makes, all together
)

var (
	errSteps = fmt.Errorf("takes more than %d steps", MaxSteps)
	errBytes = fmt.Errorf("memory budget exceeded: makes more than %d MB", maxBytes>>20)
)

func (b *budget) charge(bytes int) error {
	if bytes > maxBytes-b.bytes {
		return errBytes
	}
	b.bytes += bytes
	return nil
}

// The functions that expressions are made to call. No key of an event can be named so in an expression.
const (
	internalPrefix = "landfall_"
	stepsName      = internalPrefix + "steps" // the variable that holds the budget
	stepName       = internalPrefix + "step"
	growName       = internalPrefix + "grow"
	nestName       = internalPrefix + "nest"
	callName       = internalPrefix + "call"
	exactName      = internalPrefix + "exact"
)

func budgetFunctions() []expr.Option {
	return []expr.Option{
		expr.Function(stepName, step), expr.Function(growName, grow), expr.Function(nestName, nest), expr.Function(callName, checkedCall),
		expr.Function(exactName, exact),
	}
}

// Builtins that make something new. What the others give is part of what they were given.
var (
	growing = []string{
		"map", "filter", "groupBy", "sortBy", "upper", "lower", "toBase64", "fromBase64", "keys", "values", "toPairs", "fromPairs",
		"reverse", "uniq", "sort", "take", "trim",
	}
	// These can make much of little, so that their size is charged before they run.
	multiplying = []string{"repeat", "replace", "join", "split", "splitAfter", "toJSON", "fromJSON", "string", "flatten", "concat"}
)

// counting makes what an expression does count in its budget: each evaluation of a predicate is a step, as nested ones over long lists
// would run for hours, and everything that makes a text, a list or a map is charged.
type counting struct{ wrapped map[ast.Node]bool }

// Visit wraps the parts of an expression that cost something.
func (c counting) Visit(node *ast.Node) {
	if c.wrapped[*node] {
		return
	}
	switch n := (*node).(type) {
	case *ast.PredicateNode:
		if !c.wrapped[n.Node] || !isCallOf(n.Node, stepName) {
			n.Node = c.call(stepName, n.Node)
		}
	case *ast.BinaryNode:
		if n.Operator == "+" {
			*node = c.call(growName, n)
		}
	case *ast.ArrayNode, *ast.MapNode:
		*node = c.call(nestName, n)
	case *ast.BuiltinNode:
		switch {
		case slices.Contains(multiplying, n.Name):
			*node = c.call(callName, append([]ast.Node{&ast.StringNode{Value: n.Name}}, n.Arguments...)...)
		case slices.Contains(growing, n.Name):
			*node = c.call(growName, n)
		}
	case *ast.CallNode: // a method of a time
		*node = c.call(growName, n)
	}
}

func (c counting) call(name string, arguments ...ast.Node) ast.Node {
	made := &ast.CallNode{
		Callee: &ast.IdentifierNode{Value: name}, Arguments: append([]ast.Node{&ast.IdentifierNode{Value: stepsName}}, arguments...),
	}
	for _, n := range arguments {
		c.wrapped[n] = true
	}
	c.wrapped[made] = true
	return made
}

func isCallOf(node ast.Node, name string) bool {
	call, ok := node.(*ast.CallNode)
	if !ok {
		return false
	}
	id, ok := call.Callee.(*ast.IdentifierNode)
	return ok && id.Value == name
}

var errNoBudget = errors.New("steps are not counted")

// step counts, and gives its second argument.
func step(params ...any) (any, error) {
	b, ok := budgetOf(params, 2)
	if !ok {
		return nil, errNoBudget
	}
	if b.steps++; b.steps > MaxSteps {
		return nil, errSteps
	}
	return params[1], nil
}

func budgetOf(params []any, least int) (*budget, bool) {
	if len(params) < least {
		return nil, false
	}
	b, ok := params[0].(*budget)
	return b, ok
}

// grow charges its second argument, without what lists and maps hold, and gives it.
func grow(params ...any) (any, error) {
	b, ok := budgetOf(params, 2)
	if !ok {
		return nil, errNoBudget
	}
	return params[1], b.charge(shallowSize(params[1]))
}

// nest charges its second argument with all that it holds, and gives it: lists that hold another list twice would double with each
// step, and so would the time to compare or write them.
func nest(params ...any) (any, error) {
	b, ok := budgetOf(params, 2)
	if !ok {
		return nil, errNoBudget
	}
	size, err := deepSize(params[1], 0, maxBytes-b.bytes)
	if err != nil {
		return nil, err
	}
	return params[1], b.charge(size)
}

// checkedCall charges what a builtin is about to make and calls it.
func checkedCall(params ...any) (any, error) {
	b, ok := budgetOf(params, 2)
	if !ok {
		return nil, errNoBudget
	}
	name, _ := params[1].(string)
	at, known := builtin.Index[name]
	if !known {
		return nil, fmt.Errorf("there is no function %q", name)
	}
	args := params[2:]
	size, err := sizeOfCall(name, args, maxBytes-b.bytes)
	if err == nil {
		err = b.charge(size)
	}
	if err != nil {
		return nil, err
	}
	f := builtin.Builtins[at]
	switch {
	case f.Safe != nil:
		out, _, err := f.Safe(args...)
		return out, err
	case f.Func != nil:
		return f.Func(args...)
	case len(args) == 1:
		return f.Fast(args[0]), nil
	}
	return nil, fmt.Errorf("invalid number of arguments for %s (expected 1, got %d)", name, len(args))
}

// sizeOfCall is about how many bytes a builtin makes of arguments, at least; the error is errBytes if it is more than most.
func sizeOfCall(name string, args []any, most int) (int, error) {
	text := func(i int) string {
		if i < len(args) {
			s, _ := args[i].(string)
			return s
		}
		return ""
	}
	switch name {
	case "repeat":
		if len(args) < 2 {
			return 0, nil
		}
		return times(len(text(0)), count(args[1]), most)
	case "replace":
		n := strings.Count(text(0), text(1))
		if len(args) > 3 && count(args[3]) >= 0 {
			n = min(n, count(args[3]))
		}
		more, err := times(len(text(2)), n, most)
		return more + len(text(0)), err
	case "join":
		list, _ := args[0].([]any)
		more, err := times(len(text(1)), len(list), most)
		if err != nil {
			return 0, err
		}
		size, err := deepSize(args[0], 0, most)
		return size + more, err
	case "split", "splitAfter":
		n, err := times(elementBytes, strings.Count(text(0), text(1))+1, most)
		return n, err
	case "fromJSON":
		return times(elementBytes, len(text(0)), most)
	case "concat":
		size := 0
		for _, arg := range args {
			size += shallowSize(arg)
		}
		return size, nil
	}
	return deepSize(args, 0, most) // toJSON, string, flatten
}

// count is a number of times; -1 for what is none, which the builtin refuses itself.
func count(x any) int {
	switch n := x.(type) {
	case int:
		return n
	case float64:
		return int(n)
	}
	return -1
}

func times(size, n, most int) (int, error) {
	if size <= 0 || n <= 0 {
		return 0, nil
	}
	if n > most/size {
		return 0, errBytes
	}
	return size * n, nil
}

func shallowSize(x any) int {
	switch x := x.(type) {
	case string:
		return len(x)
	case []any:
		return elementBytes * len(x)
	case []string:
		return elementBytes * len(x)
	case []int:
		return elementBytes * len(x)
	case map[string]any:
		return 4 * elementBytes * len(x)
	}
	return 0
}

// deepSize is the bytes of a value as text, with what it holds and the indentation of that. It stops with errBytes beyond most.
func deepSize(x any, depth, most int) (int, error) {
	size := elementBytes + 2*depth
	add := func(inner any) error {
		n, err := deepSize(inner, depth+1, most-size)
		size += n
		return err
	}
	switch x := x.(type) {
	case string:
		size += len(x)
	case []any:
		for _, inner := range x {
			if err := add(inner); err != nil {
				return 0, err
			}
		}
	case map[string]any:
		for key, inner := range x {
			size += len(key)
			if err := add(inner); err != nil {
				return 0, err
			}
		}
	case []string:
		for _, s := range x {
			size += elementBytes + len(s)
		}
	case []int:
		size += elementBytes * len(x)
	case json.RawMessage, time.Time, time.Duration:
	}
	if size > most {
		return 0, errBytes
	}
	return size, nil
}
