package yamldoc

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
)

const (
	maxNodes  = 200_000 // values after resolving aliases
	maxJoined = 100     // keys that are written twice and whose values are joined, which takes the time of all members
)

// parseText sets the value. It is readable also if some of its keys are written twice.
func (d *Document) parseText(text []byte) (readable bool, problems fault.Problems) {
	file, err := parser.ParseBytes(text, 0, parser.AllowDuplicateMapKey()) // buildObject reports them
	exact, jsonErr := event.ParseValue(text)
	if err != nil {
		if jsonErr == nil { // the YAML parser rejects some valid JSON; it then has a value but no positions
			d.value = exact
			return true, nil
		}
		return false, fault.Problems{d.syntaxProblem(text, err)}
	}
	b := builder{d: d, anchors: map[string]ast.Node{}, open: map[ast.Node]int{}}
	d.value = event.NewNull()
	docs := withoutDirectives(file.Docs)
	if len(docs) > 0 {
		d.value = b.buildValue(docs[0].Body, "", 0)
	}
	if len(docs) > 1 {
		b.addProblem(docs[1].Start, "contains more than one document: write what follows the --- into a file of its own")
	}
	if jsonErr == nil && len(b.problems) == 0 {
		d.value = exact
	}
	return len(b.problems) == b.duplicates, b.problems
}

// withoutDirectives returns the documents of a file. The parser lists a directive, such as %YAML 1.2, as a document of its own.
func withoutDirectives(docs []*ast.DocumentNode) []*ast.DocumentNode {
	return slices.DeleteFunc(slices.Clone(docs), func(doc *ast.DocumentNode) bool {
		_, isDirective := doc.Body.(*ast.DirectiveNode)
		return isDirective
	})
}

// builder converts YAML nodes to values and records their positions.
type builder struct {
	d        *Document
	anchors  map[string]ast.Node
	open     map[ast.Node]int // targets of the anchors and aliases that are being converted
	nodes    int
	problems fault.Problems

	duplicates int // of the problems: keys that are written twice
}

func (b *builder) addProblem(t *token.Token, format string, args ...any) {
	p := fault.Problem{File: b.d.name, Line: 1, Column: 1, Message: fmt.Sprintf(format, args...)}
	if t != nil && t.Position != nil {
		p.Line, p.Column = t.Position.Line, t.Position.Column
	}
	b.problems = append(b.problems, p)
}

// countNode counts a node. It is false, with a problem, if there are too many or if they are nested too deeply.
func (b *builder) countNode(n ast.Node, depth int) bool {
	if b.nodes++; b.nodes <= maxNodes && depth <= event.MaxDepth {
		return true
	}
	if len(b.problems) == 0 {
		b.addProblem(n.GetToken(), "contains more than %d values or is nested deeper than %d", maxNodes, event.MaxDepth)
	}
	return false
}

// enter marks the target of an anchor or alias as being converted, until leave is called.
func (b *builder) enter(target ast.Node) (leave func()) {
	b.open[target]++
	return func() { b.open[target]-- }
}

// buildValue converts a node, whose position is recorded under pointer.
func (b *builder) buildValue(n ast.Node, pointer string, depth int) event.Value {
	if n == nil {
		return event.NewNull()
	}
	b.recordPosition(pointer, n)
	if !b.countNode(n, depth) {
		return event.NewNull()
	}
	switch n := n.(type) {
	case *ast.MappingNode:
		return b.buildObject(n.Values, pointer, depth)
	case *ast.MappingValueNode:
		return b.buildObject([]*ast.MappingValueNode{n}, pointer, depth)
	case *ast.SequenceNode:
		items := make([]event.Value, len(n.Values))
		for i, item := range n.Values {
			items[i] = b.buildValue(item, fmt.Sprintf("%s/%d", pointer, i), depth+1)
		}
		return event.NewArray(items)
	case *ast.AnchorNode:
		b.anchors[n.Name.GetToken().Value] = n.Value
		defer b.enter(n.Value)()
		return b.buildValue(n.Value, pointer, depth+1)
	case *ast.AliasNode:
		target, ok := b.aliasTarget(n)
		if !ok {
			return event.NewNull()
		}
		defer b.enter(target)()
		return b.buildValue(target, pointer, depth+1)
	case *ast.TagNode:
		return b.buildTagged(n, pointer, depth)
	}
	v := b.buildScalar(n)
	b.recordText(n, pointer, v)
	return v
}

// recordPosition records where a node begins. A block mapping begins at its first key. The first position of a pointer is kept, so
// the position of an aliased value is that of the alias.
func (b *builder) recordPosition(pointer string, n ast.Node) {
	if _, known := b.d.valuePositions[pointer]; known {
		return
	}
	t := n.GetToken()
	switch n := n.(type) {
	case *ast.MappingNode:
		if t.Type == token.MappingValueType && len(n.Values) > 0 {
			t = n.Values[0].Key.GetToken()
		}
	case *ast.MappingValueNode:
		t = n.Key.GetToken()
	}
	if t != nil && t.Position != nil {
		b.d.valuePositions[pointer] = position{t.Position.Line, t.Position.Column}
	}
}

func (b *builder) buildObject(values []*ast.MappingValueNode, pointer string, depth int) event.Value {
	var members []event.Member
	known := map[string]bool{}
	for _, m := range values {
		if _, isMerge := m.Key.(*ast.MergeKeyNode); isMerge {
			continue
		}
		key := b.keyText(m.Key, depth)
		inner := pointer + fault.PointerKey(key)
		if known[key] {
			b.duplicates++
			b.addProblem(m.Key.GetToken(), "the key %q is written twice%s", key, b.firstPlace(inner))
			if b.duplicates <= maxJoined {
				first := slices.IndexFunc(members, func(m event.Member) bool { return m.Key == key })
				members[first].Value = b.buildRepeated(members[first].Value, m.Value, inner, depth+1)
			}
			continue
		}
		if t := m.Key.GetToken(); t != nil && t.Position != nil {
			b.d.keyPositions[inner] = position{t.Position.Line, t.Position.Column}
		}
		known[key] = true
		members = append(members, event.Member{Key: key, Value: b.buildValue(m.Value, inner, depth+1)})
	}
	return event.NewObject(append(members, b.mergedMembers(values, known, pointer, depth)...))
}

// buildRepeated adds to the value of a key what an object or an array has that is written under the same key once more.
func (b *builder) buildRepeated(first event.Value, n ast.Node, pointer string, depth int) event.Value {
	switch n := n.(type) {
	case *ast.MappingValueNode:
		return b.addMembers(first, []*ast.MappingValueNode{n}, pointer, depth)
	case *ast.MappingNode:
		return b.addMembers(first, n.Values, pointer, depth)
	case *ast.SequenceNode:
		if first.Kind() != event.Array {
			return first
		}
		var items []event.Value
		for _, item := range first.Items() {
			items = append(items, item)
		}
		for _, item := range n.Values {
			items = append(items, b.buildValue(item, fmt.Sprintf("%s/%d", pointer, len(items)), depth+1))
		}
		return event.NewArray(items)
	}
	return first
}

// addMembers adds to an object the members whose keys it does not have.
func (b *builder) addMembers(to event.Value, values []*ast.MappingValueNode, pointer string, depth int) event.Value {
	if to.Kind() != event.Object {
		return to
	}
	var members []event.Member
	for key, v := range to.Members() {
		members = append(members, event.Member{Key: key, Value: v})
	}
	values = slices.DeleteFunc(slices.Clone(values), func(m *ast.MappingValueNode) bool {
		_, isMerge := m.Key.(*ast.MergeKeyNode)
		return isMerge || to.Get(b.keyText(m.Key, depth)).Exists()
	})
	for key, v := range b.buildObject(values, pointer, depth).Members() {
		members = append(members, event.Member{Key: key, Value: v})
	}
	return event.NewObject(members)
}

// firstPlace says in which line the key at a pointer is written first.
func (b *builder) firstPlace(pointer string) string {
	at, known := b.d.keyPositions[pointer]
	if !known {
		return ""
	}
	return fmt.Sprintf(": it is in line %d already", at.line)
}

// keyText returns the text of a key. Keys may have an anchor or a tag, be aliases, or follow a question mark.
func (b *builder) keyText(n ast.Node, depth int) string {
	switch n := n.(type) {
	case *ast.StringNode:
		return n.Value
	case *ast.LiteralNode:
		return n.Value.Value
	case *ast.MappingKeyNode:
		return b.keyText(n.Value, depth+1)
	case *ast.TagNode:
		return b.keyText(n.Value, depth+1)
	case *ast.AnchorNode:
		b.anchors[n.Name.GetToken().Value] = n.Value
		return b.keyText(n.Value, depth+1)
	case *ast.AliasNode:
		if target, ok := b.anchors[n.Value.GetToken().Value]; ok && depth < event.MaxDepth {
			return b.keyText(target, depth+1)
		}
		b.addUnknownAnchor(n)
		return ""
	case ast.ScalarNode:
		return n.GetToken().Value
	}
	b.addProblem(n.GetToken(), "a key must be a text")
	return ""
}

func (b *builder) addUnknownAnchor(n *ast.AliasNode) {
	b.addProblem(n.GetToken(), "the anchor %q is not defined before this", n.Value.GetToken().Value)
}

// jsonNumber matches a number in JSON's notation.
var jsonNumber = regexp.MustCompile(`^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?$`)

// buildScalar converts a node without children.
func (b *builder) buildScalar(n ast.Node) event.Value {
	t := n.GetToken()
	switch n := n.(type) {
	case *ast.NullNode:
		return event.NewNull()
	case *ast.BoolNode:
		return event.NewBool(n.Value)
	case *ast.LiteralNode:
		return event.NewString(n.Value.Value)
	case *ast.StringNode:
		if t.Type == token.StringType && jsonNumber.MatchString(n.Value) {
			return event.MustParse(n.Value)
		}
		return event.NewString(n.Value)
	case *ast.IntegerNode:
		return b.buildNumber(t, n.Value)
	case *ast.InfinityNode, *ast.NanNode:
		return event.NewString(t.Value)
	case *ast.FloatNode:
		return b.buildNumber(t, n.Value)
	}
	b.addProblem(t, "%q cannot be represented in JSON", t.Value)
	return event.NewNull()
}

// buildNumber keeps the digits of a number if they are valid JSON.
func (b *builder) buildNumber(t *token.Token, value any) event.Value {
	if jsonNumber.MatchString(t.Value) {
		return event.MustParse(t.Value)
	}
	v, err := event.From(value)
	if err != nil {
		b.addProblem(t, "%q is not a number", t.Value)
	}
	return v
}

func sortByPosition(problems fault.Problems) {
	slices.SortStableFunc(problems, func(a, b fault.Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
}
