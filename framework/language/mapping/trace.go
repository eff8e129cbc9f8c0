package mapping

import (
	"fmt"
	"strings"

	"github.com/landfall-dev/landfall/framework/event"
)

// Trace is how one key of a payload came to its value.
type Trace struct {
	Key   string      // "" where the mapping as a whole is a directive
	From  string      // the directive that gave the value, such as @path $.userId; branches are those taken
	Value event.Value // absent where nothing was found
	Err   error
}

// Trace resolves a mapping key by key and tells how each value came about. It is for people, and slower than Resolve.
func (m *Mapping) Trace(v event.Value) []Trace {
	switch root := m.root.(type) {
	case *object:
		traces := make([]Trace, len(root.nodes))
		for i, key := range root.shape.Keys() {
			traces[i] = trace(key, root.nodes[i], v)
		}
		return traces
	case literal:
		var traces []Trace
		for key, value := range root.value.Members() {
			traces = append(traces, trace(key, literal{value}, v))
		}
		return traces
	}
	return []Trace{trace("", m.root, v)}
}

func trace(key string, n node, v event.Value) Trace {
	value, err := n.resolve(v)
	return Trace{Key: key, From: say(n, v), Value: value.WithoutHoles(), Err: err}
}

// say is a part of a mapping in a line, as it works on an event.
func say(n node, v event.Value) string {
	switch n := n.(type) {
	case literal:
		return "literal " + shorten(n.value.JSON())
	case path:
		return "@path " + n.path.String()
	case dynamicPath:
		return "@path of " + say(n.path, v)
	case *template:
		return "@template " + n.String()
	case dynamicTemplate:
		return "@template of " + say(n.text, v)
	case *condition:
		return n.say(v)
	case letterCase:
		return "@case of " + say(n.value, v)
	case *replace:
		return "@replace in " + say(n.value, v)
	case *arrayPath:
		return "@arrayPath over " + say(n.root, v)
	case transform:
		return "@transform"
	case *merge:
		return fmt.Sprintf("@merge of %d objects", len(n.objects))
	case *flatten:
		return "@flatten of " + say(n.value, v)
	case *scalars:
		return "@scalars of " + say(n.value, v)
	case jsonText:
		return "@json of " + say(n.value, v)
	case excludeWhenNull:
		return "@excludeWhenNull of " + say(n.value, v)
	case liquidText:
		return "@liquid"
	case computed:
		return "@expr"
	case *object:
		return "object of " + shorten(strings.Join(n.shape.Keys(), ", "))
	case *array:
		return fmt.Sprintf("list of %d", len(n.items))
	}
	return "mapping"
}

// say tells which branch of a condition an event takes, and why.
func (n *condition) say(v event.Value) string {
	test, branch, taken := "exists", "else", n.other
	if n.blank {
		test = "blank"
	}
	subject, err := n.subject.resolve(v)
	if err == nil && n.holds(subject) {
		branch, taken = "then", n.consequence
	}
	if l, ok := taken.(literal); ok && l.value.Kind() == event.Absent {
		return fmt.Sprintf("@if %s %s: no %s", test, say(n.subject, v), branch)
	}
	return fmt.Sprintf("@if %s %s: %s %s", test, say(n.subject, v), branch, say(taken, v))
}

// String is the template with its placeholders.
func (t *template) String() string {
	var b strings.Builder
	for _, p := range t.parts {
		b.WriteString(p.text)
		if !p.last {
			b.WriteString("{{" + p.path.String() + "}}")
		}
	}
	return shorten(fmt.Sprintf("%q", b.String()))
}
