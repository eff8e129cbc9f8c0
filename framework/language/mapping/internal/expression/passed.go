package expression

import (
	"iter"
	"slices"
	"strconv"

	"github.com/expr-lang/expr/ast"

	"github.com/landfall-dev/landfall/framework/event"
)

// passed is a part of the input that an expression returns without reading what is in it, such as traits in {"traits": payload.traits}. It is
// not converted for the virtual machine and back.
type passed struct {
	key  string   // its variable in the virtual machine
	path []string // in the input
}

// passPatcher replaces the parts of the input that are passed by variables of their own.
type passPatcher struct {
	names *names // of the same tree
	list  []passed
}

// The functions that take objects apart but return their members as they are.
var passingFunctions = []string{internalPrefix + "pick", internalPrefix + "omit", internalPrefix + "compact", internalPrefix + "merge"}

// visit follows the values that reach the result unread.
func (p *passPatcher) visit(node *ast.Node) {
	if path, ok := p.names.paths[*node]; ok && (len(path) == 0 || !slices.Contains(p.names.defined, path[0])) {
		p.replace(node, path)
		return
	}
	switch n := (*node).(type) {
	case *ast.ConditionalNode:
		p.visit(&n.Exp1)
		p.visit(&n.Exp2)
	case *ast.BinaryNode:
		if n.Operator == "??" {
			p.visit(&n.Left)
			p.visit(&n.Right)
		}
	case *ast.VariableDeclaratorNode:
		p.visit(&n.Expr)
	case *ast.ArrayNode:
		for i := range n.Nodes {
			p.visit(&n.Nodes[i])
		}
	case *ast.MapNode:
		for _, pair := range n.Pairs {
			p.visit(&pair.(*ast.PairNode).Value)
		}
	case *ast.CallNode:
		p.visitCall(n)
	}
}

// visitCall follows the objects of a function that returns their members.
func (p *passPatcher) visitCall(call *ast.CallNode) {
	id, ok := call.Callee.(*ast.IdentifierNode)
	if !ok || !slices.Contains(passingFunctions, id.Value) {
		return
	}
	objects := len(call.Arguments)
	if id.Value != internalPrefix+"merge" {
		objects = min(objects, 1)
	}
	for i := range objects {
		p.visit(&call.Arguments[i])
	}
}

func (p *passPatcher) replace(node *ast.Node, path []string) {
	part := passed{internalPrefix + "passed_" + strconv.Itoa(len(p.list)), path}
	p.list = append(p.list, part)
	id := &ast.IdentifierNode{Value: part.key}
	id.SetLocation((*node).Location())
	*node = id
}

// valueIn returns the value for the virtual machine. ok is false if something on the way to it is no object, of which only the machine
// knows what it means.
func (p passed) valueIn(input event.Value) (value any, ok bool) {
	v := input
	for _, key := range p.path {
		if v.Kind() != event.Object {
			return nil, false
		}
		v = v.Get(key)
	}
	return passedValue(v), true
}

// passedValue leaves lists and objects as they are.
func passedValue(v event.Value) any {
	if v.Kind() < event.Array {
		return toNative(v)
	}
	return v.WithoutHoles()
}

func passedItems(v event.Value) []any {
	list := make([]any, 0, v.Len())
	for _, item := range v.Items() {
		list = append(list, passedValue(item))
	}
	return list
}

func passedMembers(v event.Value) iter.Seq2[string, any] {
	return func(yield func(string, any) bool) {
		for key, m := range v.Members() {
			if !yield(key, passedValue(m)) {
				return
			}
		}
	}
}
