package yamldoc

import (
	"github.com/goccy/go-yaml/ast"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
)

// aliasTarget returns the value that an alias stands for. It is false, with a problem, if there is none, or if the value contains the
// alias.
func (b *builder) aliasTarget(n *ast.AliasNode) (ast.Node, bool) {
	name := n.Value.GetToken().Value
	target, ok := b.anchors[name]
	switch {
	case !ok:
		b.addUnknownAnchor(n)
	case b.open[target] > 0:
		b.addProblem(n.GetToken(), "the value of the anchor %q contains itself here", name)
		ok = false
	}
	return target, ok
}

// mergedMembers returns the members that the merge keys of an object add. known are its own keys, which win; among the merged objects
// the first wins. The texts of the values are recorded under the object's pointer.
func (b *builder) mergedMembers(values []*ast.MappingValueNode, known map[string]bool, pointer string, depth int) []event.Member {
	var members []event.Member
	for _, m := range values {
		if _, isMerge := m.Key.(*ast.MergeKeyNode); isMerge {
			b.visitSources(m.Value, true, depth+1, func(source []*ast.MappingValueNode) {
				members = append(members, b.sourceMembers(source, known, pointer, depth)...)
			})
		}
	}
	return members
}

// sourceMembers returns the members that one merged object adds, and adds their keys to known.
func (b *builder) sourceMembers(source []*ast.MappingValueNode, known map[string]bool, pointer string, depth int) []event.Member {
	var members []event.Member
	for _, m := range source {
		if _, isMerge := m.Key.(*ast.MergeKeyNode); isMerge {
			continue
		}
		key := b.keyText(m.Key, depth)
		switch {
		case !known[key]:
			known[key] = true
			members = append(members, event.Member{Key: key, Value: b.buildMerged(m.Value, pointer, key, depth)})
		case !b.countNode(m, depth): // an entry that is not used counts too, since finding that costs time
			return members
		}
	}
	return append(members, b.mergedMembers(source, known, pointer, depth+1)...)
}

// buildMerged converts the value of a merged member, whose position is that of the object that it is merged into.
func (b *builder) buildMerged(n ast.Node, pointer, key string, depth int) event.Value {
	inner := pointer + fault.PointerKey(key)
	b.d.valuePositions[inner] = b.d.valuePositions[pointer]
	return b.buildValue(n, inner, depth+1)
}

// visitSources calls visit with the entries of each object that a merge key names: an object, or a list of objects.
func (b *builder) visitSources(n ast.Node, listAllowed bool, depth int, visit func([]*ast.MappingValueNode)) {
	if !b.countNode(n, depth) {
		return
	}
	switch n := n.(type) {
	case *ast.MappingNode:
		visit(n.Values)
		return
	case *ast.MappingValueNode:
		visit([]*ast.MappingValueNode{n})
		return
	case *ast.AnchorNode:
		b.anchors[n.Name.GetToken().Value] = n.Value
		defer b.enter(n.Value)()
		b.visitSources(n.Value, listAllowed, depth+1, visit)
		return
	case *ast.AliasNode:
		if target, ok := b.aliasTarget(n); ok {
			defer b.enter(target)()
			b.visitSources(target, listAllowed, depth+1, visit)
		}
		return
	case *ast.SequenceNode:
		if listAllowed {
			for _, item := range n.Values {
				b.visitSources(item, false, depth+1, visit)
			}
			return
		}
	}
	b.addProblem(n.GetToken(), "<< adds the keys of an object, or of a list of objects: this is neither")
}
