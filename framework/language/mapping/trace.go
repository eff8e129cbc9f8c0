package mapping

import (
	"github.com/landfall-dev/landfall/framework/event"
)

// Trace says where the value of one payload key comes from.
type Trace struct {
	Key     string      // "" if the mapping as a whole is a directive
	From    string      // the directive that produced the value, such as @path $.userId, with the branches that were taken
	Literal bool        // the value is written in the mapping
	Value   event.Value // absent if the mapping found nothing
	Err     error
}

// Trace resolves the mapping key by key and returns where each value comes from. It is for display and slower than Resolve.
func (m *Mapping) Trace(v event.Value) []Trace {
	switch root := m.root.(type) {
	case *object:
		traces := make([]Trace, len(root.nodes))
		for i, key := range root.shape.Keys() {
			traces[i] = traceNode(key, root.nodes[i], v)
		}
		return traces
	case literal:
		var traces []Trace
		for key, value := range root.value.Members() {
			traces = append(traces, traceNode(key, literal{value}, v))
		}
		return traces
	}
	return []Trace{traceNode("", m.root, v)}
}

func traceNode(key string, n node, v event.Value) Trace {
	value, err := n.resolve(v)
	_, isLiteral := n.(literal)
	return Trace{Key: key, From: n.describe(v), Literal: isLiteral, Value: value.WithoutHoles(), Err: err}
}
