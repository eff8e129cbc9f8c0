package expression

import (
	"errors"
	"math"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/vm/runtime"
)

// exactPatcher replaces sums, differences and products by calls of exact, so that an integer overflow is an error and not a wrong
// result.
type exactPatcher struct{}

// Visit implements ast.Visitor.
func (exactPatcher) Visit(node *ast.Node) {
	switch n := (*node).(type) {
	case *ast.UnaryNode:
		_, literal := n.Node.(*ast.IntegerNode)
		_, fraction := n.Node.(*ast.FloatNode)
		if n.Operator == "-" && !literal && !fraction {
			ast.Patch(node, exactCall("-", &ast.IntegerNode{}, n.Node))
		}
	case *ast.BinaryNode:
		if n.Operator == "+" || n.Operator == "-" || n.Operator == "*" {
			ast.Patch(node, exactCall(n.Operator, n.Left, n.Right))
		}
	}
}

func exactCall(operator string, left, right ast.Node) ast.Node {
	return &ast.CallNode{
		Callee: &ast.IdentifierNode{Value: exactName}, Arguments: []ast.Node{&ast.StringNode{Value: operator}, left, right},
	}
}

var errTooLarge = errors.New("produces an integer beyond 64 bits")

// exact computes the operation that its first argument names.
func exact(params ...any) (any, error) {
	operator, left, right := params[0].(string), params[1], params[2]
	a, whole := left.(int)
	b, both := right.(int)
	switch operator {
	case "+":
		if whole && both && (a+b < a) != (b < 0) {
			return nil, errTooLarge
		}
		return runtime.Add(left, right), nil
	case "-":
		if whole && both && (a-b > a) != (b < 0) {
			return nil, errTooLarge
		}
		return runtime.Subtract(left, right), nil
	}
	if whole && both && a != 0 && (a*b/a != b || a == -1 && b == math.MinInt) {
		return nil, errTooLarge
	}
	return runtime.Multiply(left, right), nil
}
