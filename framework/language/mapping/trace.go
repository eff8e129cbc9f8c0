package mapping

import (
	"fmt"
	"strings"

	"github.com/landfall-dev/landfall/framework/event"
)

// Trace tells where the value of one payload key comes from.
type Trace struct {
	Key   string      // "" if the mapping as a whole is a directive
	From  string      // the directive that produced the value, such as @path $.userId, with the branches that were taken
	Value event.Value // absent if the mapping found nothing
	Err   error
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
	return Trace{Key: key, From: describeNode(n, v), Value: value.WithoutHoles(), Err: err}
}

// describeNode describes a part of a mapping, as it applies to an event, on one line.
func describeNode(n node, v event.Value) string {
	switch n := n.(type) {
	case literal:
		return "literal " + truncateText(n.value.JSON())
	case path:
		return "@path " + n.path.String()
	case dynamicPath:
		return "@path of " + describeNode(n.path, v)
	case *template:
		return "@template " + n.String()
	case dynamicTemplate:
		return "@template of " + describeNode(n.text, v)
	case *condition:
		return n.describeBranch(v)
	case letterCase:
		return "@case of " + describeNode(n.value, v)
	case *replace:
		return "@replace in " + describeNode(n.value, v)
	case *arrayPath:
		return "@arrayPath over " + describeNode(n.root, v)
	case transform:
		return "@transform"
	case *merge:
		return fmt.Sprintf("@merge of %d objects", len(n.objects))
	case *flatten:
		return "@flatten of " + describeNode(n.value, v)
	case *scalars:
		return "@scalars of " + describeNode(n.value, v)
	case jsonText:
		return "@json of " + describeNode(n.value, v)
	case excludeWhenNull:
		return "@excludeWhenNull of " + describeNode(n.value, v)
	case liquidText:
		return "@liquid"
	case computed:
		return "@expr"
	case *object:
		return "object of " + truncateText(strings.Join(n.shape.Keys(), ", "))
	case *array:
		return fmt.Sprintf("list of %d", len(n.items))
	}
	return "mapping"
}

// describeBranch returns which branch of a condition applies to an event, and why.
func (n *condition) describeBranch(v event.Value) string {
	test, branch, taken := "exists", "else", n.elseNode
	if n.blank {
		test = "blank"
	}
	subject, err := n.subject.resolve(v)
	if err == nil && n.isMet(subject) {
		branch, taken = "then", n.thenNode
	}
	if l, ok := taken.(literal); ok && l.value.Kind() == event.Absent {
		return fmt.Sprintf("@if %s %s: no %s", test, describeNode(n.subject, v), branch)
	}
	return fmt.Sprintf("@if %s %s: %s %s", test, describeNode(n.subject, v), branch, describeNode(taken, v))
}

// String returns the template with its placeholders.
func (t *template) String() string {
	var b strings.Builder
	for _, p := range t.parts {
		b.WriteString(p.text)
		if !p.last {
			b.WriteString("{{" + p.path.String() + "}}")
		}
	}
	return truncateText(fmt.Sprintf("%q", b.String()))
}
