package expression

import (
	"errors"
	"fmt"
	"math"
	"math/big"
	"reflect"
	"slices"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/builtin"
	"github.com/expr-lang/expr/vm/runtime"
)

// exactPatcher replaces arithmetic by calls of exact, so that an integer overflow is an error, and an integer with more digits than a
// fraction can hold is not rounded.
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
		if slices.Contains([]string{"+", "-", "*", "/", "**", "^"}, n.Operator) {
			ast.Patch(node, exactCall(n.Operator, n.Left, n.Right))
		}
	case *ast.BuiltinNode:
		switch {
		case n.Name == "sum" && len(n.Arguments) == 2:
			ast.Patch(node, exactCall(n.Name, &ast.BuiltinNode{Name: "map", Arguments: n.Arguments, Map: n.Map}, &ast.NilNode{}))
		case len(n.Arguments) == 1 && slices.Contains([]string{"sum", "abs", "int", "round", "floor", "ceil"}, n.Name):
			ast.Patch(node, exactCall(n.Name, n.Arguments[0], &ast.NilNode{}))
		}
	}
}

func exactCall(operator string, left, right ast.Node) ast.Node {
	return &ast.CallNode{
		Callee: &ast.IdentifierNode{Value: exactName}, Arguments: []ast.Node{&ast.StringNode{Value: operator}, left, right},
	}
}

var errTooLarge = errors.New("produces an integer beyond 64 bits")

// maxFloatInteger is the largest integer up to which a fraction can hold every integer.
const maxFloatInteger = 1 << 53

func isBeyondFloat(n int) bool { return n > maxFloatInteger || n < -maxFloatInteger }

// exact computes the operation that its first argument names.
func exact(params ...any) (any, error) {
	operator, left, right := params[0].(string), params[1], params[2]
	switch operator {
	case "sum":
		return exactSum(left)
	case "abs", "int", "round", "floor", "ceil":
		return exactRounding(operator, left)
	}
	a, whole := left.(int)
	b, both := right.(int)
	if whole && both {
		return exactIntegers(operator, a, b)
	}
	return inexact(operator, left, right), nil
}

// inexact computes an operation as the virtual machine does.
func inexact(operator string, left, right any) any {
	switch operator {
	case "+":
		return runtime.Add(left, right)
	case "-":
		return runtime.Subtract(left, right)
	case "*":
		return runtime.Multiply(left, right)
	case "/":
		return runtime.Divide(left, right)
	}
	return runtime.Exponent(left, right)
}

func exactIntegers(operator string, a, b int) (any, error) {
	switch operator {
	case "+":
		if (a+b < a) != (b < 0) {
			return nil, errTooLarge
		}
	case "-":
		if (a-b > a) != (b < 0) {
			return nil, errTooLarge
		}
	case "*":
		if a != 0 && (a*b/a != b || a == -1 && b == math.MinInt) {
			return nil, errTooLarge
		}
	case "/":
		if b != 0 && (isBeyondFloat(a) || isBeyondFloat(b)) {
			return exactQuotient(a, b)
		}
	case "**", "^":
		if n, ok := exactPower(a, b); ok {
			return n, nil
		}
	}
	return inexact(operator, a, b), nil
}

// exactQuotient returns an integer if b divides a, otherwise the fraction that is nearest to the quotient.
func exactQuotient(a, b int) (any, error) {
	switch {
	case a == math.MinInt && b == -1:
		return nil, errTooLarge
	case a%b == 0:
		return a / b, nil
	}
	nearest, _ := big.NewRat(int64(a), int64(b)).Float64()
	return nearest, nil
}

// exactPower returns a power that an int can hold and a fraction may not.
func exactPower(a, b int) (n int, ok bool) {
	if b < 0 || b > 64 {
		return 0, false
	}
	power := new(big.Int).Exp(big.NewInt(int64(a)), big.NewInt(int64(b)), nil)
	if !power.IsInt64() || !isBeyondFloat(int(power.Int64())) {
		return 0, false
	}
	return int(power.Int64()), true
}

// exactRounding computes a function of one number.
func exactRounding(name string, x any) (any, error) {
	n, whole := x.(int)
	f, _ := x.(float64)
	switch {
	case name == "int" && !(f >= math.MinInt && f < -math.MinInt):
		return nil, errTooLarge
	case whole && name == "abs" && n == math.MinInt:
		return nil, errTooLarge
	case whole && name != "abs" && isBeyondFloat(n):
		return n, nil
	}
	return builtin.Builtins[builtin.Index[name]].Fast(x), nil
}

// exactSum adds the items of a list.
func exactSum(list any) (sum any, err error) {
	items := reflect.ValueOf(list)
	if items.Kind() != reflect.Slice {
		return nil, fmt.Errorf("sum needs a list of numbers, not %s", argumentKind(list))
	}
	sum = 0
	for i := 0; i < items.Len() && err == nil; i++ {
		sum, err = exact("+", sum, items.Index(i).Interface())
	}
	return sum, err
}
