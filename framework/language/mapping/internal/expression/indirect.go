package expression

import (
	"slices"
	"strconv"

	"github.com/expr-lang/expr/ast"
)

// AnyItem is the key that stands for each item of a list.
const AnyItem = "[]"

// IndirectPaths returns the paths that an expression reads through items of lists and through variables, with AnyItem for a position that
// is not constant: map(payload.items, .sku) and let list = payload.items; list[-1].sku read [payload items [] sku], payload.items[0].sku reads
// [payload items 0 sku]. They are below the paths that Paths returns.
func IndirectPaths(text string) [][]string {
	if len(text) > MaxLength {
		return nil
	}
	tree, _, err := parse(text, newCallPatcher())
	if err != nil {
		return nil
	}
	c := pathCollector{items: map[*ast.PointerNode][]string{}, variables: map[string]ast.Node{}, inner: map[ast.Node]bool{}}
	whole := &nodeList{}
	ast.Walk(&tree.Node, whole)
	for _, node := range whole.nodes {
		c.addVariable(node)
	}
	for _, node := range slices.Backward(whole.nodes) { // the predicates around others come first
		c.bindItems(node)
	}
	for _, node := range slices.Backward(whole.nodes) {
		c.addPath(node)
	}
	slices.SortFunc(c.paths, slices.Compare)
	return slices.CompactFunc(c.paths, slices.Equal)
}

// nodeList lists the nodes of an expression, children before their parents.
type nodeList struct{ nodes []ast.Node }

// Visit implements ast.Visitor.
func (l *nodeList) Visit(node *ast.Node) { l.nodes = append(l.nodes, *node) }

// pathCollector finds indirect paths.
type pathCollector struct {
	items     map[*ast.PointerNode][]string // the path of the item that # is in a predicate
	variables map[string]ast.Node           // values of the variables that are declared with let; nil if they are not known
	inner     map[ast.Node]bool             // nodes that are part of a longer path
	paths     [][]string
}

// addVariable adds a declared variable. The value of one is not known if another thing has the same name.
func (c *pathCollector) addVariable(node ast.Node) {
	v, ok := node.(*ast.VariableDeclaratorNode)
	if !ok {
		return
	}
	value := &nodeList{}
	ast.Walk(&v.Value, value)
	_, isSecond := c.variables[v.Name]
	readsOther := slices.ContainsFunc(value.nodes, func(n ast.Node) bool {
		id, ok := n.(*ast.IdentifierNode)
		return ok && id.Value == v.Name
	})
	c.variables[v.Name] = v.Value
	if isSecond || readsOther {
		c.variables[v.Name] = nil
	}
}

// bindItems sets the path of the item in the predicate of a call. Predicates inside of it are bound later.
func (c *pathCollector) bindItems(node ast.Node) {
	call, ok := node.(*ast.BuiltinNode)
	if !ok || len(call.Arguments) < 2 {
		return
	}
	predicate, ok := call.Arguments[1].(*ast.PredicateNode)
	if !ok {
		return
	}
	var item []string
	if list, _ := c.pathOf(call.Arguments[0]); list != nil {
		item = append(slices.Clone(list), AnyItem)
	}
	body := &nodeList{}
	ast.Walk(&predicate.Node, body)
	for _, n := range body.nodes {
		if pointer, ok := n.(*ast.PointerNode); ok && pointer.Name == "" {
			c.items[pointer] = item
		}
	}
}

// addPath adds the path of a node that is no part of a longer one, if it is indirect.
func (c *pathCollector) addPath(node ast.Node) {
	path, indirect := c.pathOf(node)
	if indirect && !c.inner[node] {
		c.paths = append(c.paths, path)
	}
	if indirect {
		switch n := node.(type) {
		case *ast.MemberNode:
			c.inner[n.Node] = true
		case *ast.ChainNode:
			c.inner[n.Node] = true
		}
	}
}

// pathOf returns the path of the value of a node, nil if it is not known, and whether it is indirect.
func (c *pathCollector) pathOf(node ast.Node) (path []string, indirect bool) {
	switch n := node.(type) {
	case *ast.IdentifierNode:
		return c.pathOfVariable(n.Value)
	case *ast.PointerNode:
		path = c.items[n]
		return path, path != nil
	case *ast.ChainNode:
		return c.pathOf(n.Node)
	case *ast.BinaryNode:
		if n.Operator == "??" {
			return c.pathOf(n.Left)
		}
	case *ast.BuiltinNode:
		return c.pathOfCall(n)
	case *ast.MemberNode:
		path, indirect = c.pathOf(n.Node)
		if path == nil {
			return nil, false
		}
		switch key := n.Property.(type) {
		case *ast.StringNode:
			return append(slices.Clone(path), key.Value), indirect
		case *ast.IntegerNode:
			return append(slices.Clone(path), strconv.Itoa(max(key.Value, 0))), true
		case *ast.UnaryNode: // such as -1
			return append(slices.Clone(path), AnyItem), true
		}
	}
	return nil, false
}

func (c *pathCollector) pathOfVariable(name string) (path []string, indirect bool) {
	value, isDeclared := c.variables[name]
	switch {
	case name == environment || isDeclared && value == nil:
		return nil, false
	case !isDeclared:
		return []string{name}, false
	}
	c.variables[name] = nil // if its value is read from a variable that is read from it, both names are also in the input
	path, _ = c.pathOf(value)
	c.variables[name] = value
	return path, path != nil
}

// pathOfCall returns the path of what a call returns if it is an item of its list, or a part of its list.
func (c *pathCollector) pathOfCall(n *ast.BuiltinNode) (path []string, indirect bool) {
	if len(n.Arguments) == 0 {
		return nil, false
	}
	path, indirect = c.pathOf(n.Arguments[0])
	switch n.Name {
	case "filter", "sortBy", "reverse", "take":
		return path, indirect
	case "find", "findLast", "first", "last":
		if path != nil {
			return append(slices.Clone(path), AnyItem), true
		}
	}
	return nil, false
}
