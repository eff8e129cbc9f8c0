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

	"github.com/landfall-dev/landfall/framework/event"
)

// budget limits one evaluation: the number of predicate evaluations, and the total bytes of the texts, lists and maps that it
// creates.
type budget struct{ steps, bytes int }

// Sizes that are charged in addition to those of texts.
const (
	elementBytes = 16
	maxBytes     = 16 << 20 // total of one evaluation
)

var (
	errSteps = fmt.Errorf("takes more than %d steps", MaxSteps)
	errBytes = fmt.Errorf("memory budget exceeded: produces more than %d MB", maxBytes>>20)
)

func (b *budget) charge(bytes int) error {
	if bytes > maxBytes-b.bytes {
		return errBytes
	}
	b.bytes += bytes
	return nil
}

// Names of the functions that are inserted into expressions. An expression cannot use the prefix for a key of an event.
const (
	internalPrefix    = "landfall_"
	budgetName        = internalPrefix + "steps" // the variable that holds the budget
	countStepName     = internalPrefix + "step"
	chargeShallowName = internalPrefix + "grow"
	chargeDeepName    = internalPrefix + "nest"
	callName          = internalPrefix + "call"
	exactName         = internalPrefix + "exact"
	orderedName       = internalPrefix + "ordered"
)

func budgetFunctions() []expr.Option {
	return []expr.Option{
		expr.Function(countStepName, countStep), expr.Function(chargeShallowName, chargeShallow), expr.Function(chargeDeepName, chargeDeep), expr.Function(callName, checkedCall),
		expr.Function(exactName, exact), expr.Function(orderedName, callOrdered),
	}
}

// Builtins that create new values. The other builtins return parts of their arguments.
var (
	shallowBuiltins = []string{
		"map", "filter", "groupBy", "sortBy", "upper", "lower", "toBase64", "fromBase64", "fromPairs",
		"reverse", "uniq", "sort", "take", "trim",
	}
	// These can create much larger values than their arguments, so their size is charged before they run.
	chargedFirst = []string{"repeat", "replace", "join", "split", "splitAfter", "toJSON", "fromJSON", "string", "flatten", "concat"}
)

// budgetPatcher inserts the calls that charge the budget. Each evaluation of a predicate counts as a step, because nested
// predicates over long lists could run for hours. Everything that creates a text, a list or a map is charged.
type budgetPatcher struct{ wrapped map[ast.Node]bool }

// Visit implements ast.Visitor. It wraps the nodes that must be charged.
func (c budgetPatcher) Visit(node *ast.Node) {
	if c.wrapped[*node] {
		return
	}
	switch n := (*node).(type) {
	case *ast.PredicateNode:
		if !c.wrapped[n.Node] || !isCallOf(n.Node, countStepName) {
			n.Node = c.wrapCall(countStepName, n.Node)
		}
	case *ast.BinaryNode:
		if n.Operator == "+" {
			*node = c.wrapCall(chargeShallowName, n)
		}
	case *ast.ArrayNode, *ast.MapNode:
		*node = c.wrapCall(chargeDeepName, n)
	case *ast.BuiltinNode:
		switch {
		case slices.Contains(chargedFirst, n.Name):
			*node = c.wrapCall(callName, append([]ast.Node{&ast.StringNode{Value: n.Name}}, n.Arguments...)...)
		case slices.Contains(orderedBuiltins, n.Name):
			*node = c.wrapCall(orderedName, append([]ast.Node{&ast.StringNode{Value: n.Name}}, n.Arguments...)...)
		case slices.Contains(shallowBuiltins, n.Name):
			*node = c.wrapCall(chargeShallowName, n)
		}
	case *ast.CallNode: // a method of a time
		*node = c.wrapCall(chargeShallowName, n)
	}
}

func (c budgetPatcher) wrapCall(name string, arguments ...ast.Node) ast.Node {
	made := &ast.CallNode{
		Callee: &ast.IdentifierNode{Value: name}, Arguments: append([]ast.Node{&ast.IdentifierNode{Value: budgetName}}, arguments...),
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

// countStep counts a step and returns its second argument.
func countStep(params ...any) (any, error) {
	b, ok := budgetOf(params, 2)
	if !ok {
		return nil, errNoBudget
	}
	if b.steps++; b.steps > MaxSteps {
		return nil, errSteps
	}
	return params[1], nil
}

func budgetOf(params []any, minParams int) (*budget, bool) {
	if len(params) < minParams {
		return nil, false
	}
	b, ok := params[0].(*budget)
	return b, ok
}

// chargeShallow charges the size of its second argument without nested values, and returns the argument.
func chargeShallow(params ...any) (any, error) {
	b, ok := budgetOf(params, 2)
	if !ok {
		return nil, errNoBudget
	}
	return params[1], b.charge(shallowSize(params[1]))
}

// chargeDeep charges the size of its second argument including nested values, and returns the argument. Otherwise lists that
// contain another list twice could double their size, and the time to compare or encode them, with each step.
func chargeDeep(params ...any) (any, error) {
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

// checkedCall charges the expected size of a builtin's result and calls the builtin.
func checkedCall(params ...any) (any, error) {
	b, ok := budgetOf(params, 2)
	if !ok {
		return nil, errNoBudget
	}
	name, _ := params[1].(string)
	at, known := builtin.Index[name]
	if !known {
		return nil, fmt.Errorf("unknown function %q", name)
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

// sizeOfCall returns a lower bound of the bytes that a builtin creates. The error is errBytes if the bound exceeds maxSize.
func sizeOfCall(name string, args []any, maxSize int) (int, error) {
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
		return multiplySize(len(text(0)), repeatCount(args[1]), maxSize)
	case "replace":
		n := strings.Count(text(0), text(1))
		if len(args) > 3 && repeatCount(args[3]) >= 0 {
			n = min(n, repeatCount(args[3]))
		}
		more, err := multiplySize(len(text(2)), n, maxSize)
		return more + len(text(0)), err
	case "join":
		list, _ := args[0].([]any)
		more, err := multiplySize(len(text(1)), len(list), maxSize)
		if err != nil {
			return 0, err
		}
		size, err := deepSize(args[0], 0, maxSize)
		return size + more, err
	case "split", "splitAfter":
		n, err := multiplySize(elementBytes, strings.Count(text(0), text(1))+1, maxSize)
		return n, err
	case "fromJSON":
		return multiplySize(elementBytes, len(text(0)), maxSize)
	case "concat":
		size := 0
		for _, arg := range args {
			size += shallowSize(arg)
		}
		return size, nil
	}
	return deepSize(args, 0, maxSize) // toJSON, string, flatten
}

// repeatCount returns a number of repetitions, or -1 if x is not a number. The builtin reports that error itself.
func repeatCount(x any) int {
	switch n := x.(type) {
	case int:
		return n
	case float64:
		return int(n)
	}
	return -1
}

func multiplySize(size, n, maxSize int) (int, error) {
	if size <= 0 || n <= 0 {
		return 0, nil
	}
	if n > maxSize/size {
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

// deepSize returns the size of a value as indented text, including nested values. It stops with errBytes when the size exceeds
// maxSize.
func deepSize(x any, depth, maxSize int) (int, error) {
	size := elementBytes + 2*depth
	add := func(inner any) error {
		n, err := deepSize(inner, depth+1, maxSize-size)
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
	case event.Value:
		size += x.Size()
	case json.RawMessage, time.Time, time.Duration:
	}
	if size > maxSize {
		return 0, errBytes
	}
	return size, nil
}
