package expression

import (
	"fmt"

	"github.com/expr-lang/expr/ast"
)

// backwardPatcher replaces searches from the end of a list by searches in the reversed list. The virtual machine leaves values of a search
// from the end behind, which others then take for theirs: ["z", findLast(items, .id == "a")] would fail or have other values. No predicate
// of these functions can read #index, which would differ.
type backwardPatcher struct{ made int } // how many variables there are

// Visit implements ast.Visitor.
func (p *backwardPatcher) Visit(node *ast.Node) {
	n, ok := (*node).(*ast.BuiltinNode)
	if !ok || len(n.Arguments) != 2 {
		return
	}
	switch n.Name {
	case "findLast":
		*node = &ast.BuiltinNode{Name: "find", Arguments: []ast.Node{reversed(n.Arguments[0]), n.Arguments[1]}, Map: n.Map, Throws: n.Throws}
	case "findLastIndex":
		*node = p.lastIndex(n.Arguments[0], n.Arguments[1])
	}
}

// lastIndex returns let list = …; let index = findIndex(reverse(list), predicate); index == nil ? nil : len(list) - 1 - index.
func (p *backwardPatcher) lastIndex(list, predicate ast.Node) ast.Node {
	p.made++
	name := func(key string) string { return fmt.Sprintf("$%s%d", key, p.made) }
	read := func(key string) ast.Node { return &ast.IdentifierNode{Value: name(key)} }
	minus := func(a, b ast.Node) ast.Node { return &ast.BinaryNode{Operator: "-", Left: a, Right: b} }
	size := &ast.BuiltinNode{Name: "len", Arguments: []ast.Node{read("list")}}
	return &ast.VariableDeclaratorNode{Name: name("list"), Value: list, Expr: &ast.VariableDeclaratorNode{
		Name:  name("index"),
		Value: &ast.BuiltinNode{Name: "findIndex", Arguments: []ast.Node{reversed(read("list")), predicate}},
		Expr: &ast.ConditionalNode{
			Cond: &ast.BinaryNode{Operator: "==", Left: read("index"), Right: &ast.NilNode{}},
			Exp1: &ast.NilNode{}, Exp2: minus(minus(size, &ast.IntegerNode{Value: 1}), read("index")),
		},
	}}
}

func reversed(list ast.Node) ast.Node {
	return &ast.BuiltinNode{Name: "reverse", Arguments: []ast.Node{list}}
}
