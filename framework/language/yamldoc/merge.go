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
		if _, isMerge := m.Key.(*ast.MergeKeyNode); !isMerge {
			continue
		}
		for _, source := range b.mergeSources(m.Value, true, depth+1) {
			for _, own := range source {
				if _, isMerge := own.Key.(*ast.MergeKeyNode); isMerge {
					continue
				}
				if key := b.keyText(own.Key, depth); !known[key] {
					known[key] = true
					members = append(members, event.Member{Key: key, Value: b.buildMerged(own.Value, pointer, key, depth)})
				}
			}
			members = append(members, b.mergedMembers(source, known, pointer, depth+1)...)
		}
	}
	return members
}

// buildMerged converts the value of a merged member, whose position is that of the object that it is merged into.
func (b *builder) buildMerged(n ast.Node, pointer, key string, depth int) event.Value {
	inner := pointer + fault.PointerKey(key)
	b.d.valuePositions[inner] = b.d.valuePositions[pointer]
	return b.buildValue(n, inner, depth+1)
}

// mergeSources returns the entries of each object that a merge key names: an object, or a list of objects.
func (b *builder) mergeSources(n ast.Node, listAllowed bool, depth int) [][]*ast.MappingValueNode {
	if b.nodes++; b.nodes > maxNodes || depth > event.MaxDepth {
		return nil
	}
	switch n := n.(type) {
	case *ast.MappingNode:
		return [][]*ast.MappingValueNode{n.Values}
	case *ast.MappingValueNode:
		return [][]*ast.MappingValueNode{{n}}
	case *ast.AnchorNode:
		b.anchors[n.Name.GetToken().Value] = n.Value
		return b.mergeSources(n.Value, listAllowed, depth+1)
	case *ast.AliasNode:
		if target, ok := b.aliasTarget(n); ok {
			return b.mergeSources(target, listAllowed, depth+1)
		}
		return nil
	case *ast.SequenceNode:
		if listAllowed {
			var all [][]*ast.MappingValueNode
			for _, item := range n.Values {
				all = append(all, b.mergeSources(item, false, depth+1)...)
			}
			return all
		}
	}
	b.addProblem(n.GetToken(), "<< adds the keys of an object, or of a list of objects: this is neither")
	return nil
}
