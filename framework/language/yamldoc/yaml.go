package yamldoc

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
)

// maxNodes bounds what aliases may blow a text up to.
const maxNodes = 200_000

func (d *Document) read(text []byte) (event.Value, error) {
	if depth := nesting(text); depth > event.MaxDepth {
		return event.Value{}, fault.Problems{{File: d.name, Message: fmt.Sprintf("nested deeper than %d", event.MaxDepth)}}
	}
	file, err := parser.ParseBytes(text, 0)
	exact, jsonErr := event.ParseValue(text)
	if err != nil {
		if jsonErr == nil { // JSON that the YAML parser cannot read has no places, but it has a value
			return exact, nil
		}
		return event.Value{}, fault.Problems{d.syntax(err)}
	}
	b := builder{d: d, anchors: map[string]ast.Node{}}
	var value event.Value
	switch len(file.Docs) {
	case 0:
		value = event.NewNull()
	case 1:
		value = b.value(file.Docs[0].Body, "", 0)
	default:
		b.fail(file.Docs[1].Start, "holds more than one document")
	}
	if err := b.problems.Err(); err != nil {
		return event.Value{}, err
	}
	if jsonErr == nil {
		return exact, nil
	}
	return value, nil
}

// nesting bounds how deep brackets go in a text, so that a parser that recurses is not led too far.
func nesting(text []byte) int {
	depth, deepest := 0, 0
	for _, c := range text {
		switch c {
		case '[', '{':
			depth++
			deepest = max(deepest, depth)
		case ']', '}':
			depth--
		}
	}
	return deepest
}

// syntax is the problem of a text that is no YAML.
func (d *Document) syntax(err error) fault.Problem {
	p := fault.Problem{File: d.name, Line: 1, Column: 1, Message: err.Error()}
	var known yaml.Error
	if errors.As(err, &known) {
		p.Message = known.GetMessage()
		if t := known.GetToken(); t != nil && t.Position != nil {
			p.Line, p.Column = t.Position.Line, t.Position.Column
		}
	}
	return p
}

// builder turns nodes into values and puts down their places.
type builder struct {
	d        *Document
	anchors  map[string]ast.Node
	nodes    int
	problems fault.Problems
}

func (b *builder) fail(t *token.Token, format string, args ...any) {
	p := fault.Problem{File: b.d.name, Line: 1, Column: 1, Message: fmt.Sprintf(format, args...)}
	if t != nil && t.Position != nil {
		p.Line, p.Column = t.Position.Line, t.Position.Column
	}
	b.problems = append(b.problems, p)
}

// value is the value of a node, whose place is put down under pointer.
func (b *builder) value(n ast.Node, pointer string, depth int) event.Value {
	if n == nil {
		return event.NewNull()
	}
	b.mark(pointer, n)
	if b.nodes++; b.nodes > maxNodes || depth > event.MaxDepth {
		if len(b.problems) == 0 {
			b.fail(n.GetToken(), "holds more than %d values or is nested deeper than %d", maxNodes, event.MaxDepth)
		}
		return event.NewNull()
	}
	switch n := n.(type) {
	case *ast.MappingNode:
		return b.object(n.Values, pointer, depth)
	case *ast.MappingValueNode:
		return b.object([]*ast.MappingValueNode{n}, pointer, depth)
	case *ast.SequenceNode:
		items := make([]event.Value, len(n.Values))
		for i, item := range n.Values {
			items[i] = b.value(item, fmt.Sprintf("%s/%d", pointer, i), depth+1)
		}
		return event.NewArray(items)
	case *ast.AnchorNode:
		b.anchors[n.Name.GetToken().Value] = n.Value
		return b.value(n.Value, pointer, depth+1)
	case *ast.AliasNode:
		target, ok := b.anchors[n.Value.GetToken().Value]
		if !ok {
			b.fail(n.GetToken(), "there is no anchor %q before this", n.Value.GetToken().Value)
			return event.NewNull()
		}
		return b.value(target, pointer, depth+1)
	case *ast.TagNode:
		return b.value(n.Value, pointer, depth+1)
	}
	v := b.scalar(n)
	b.keepText(n, pointer, v)
	return v
}

// mark puts down where a node begins; a block mapping begins at its first key. The first place of a pointer counts: an alias
// is shown where it stands.
func (b *builder) mark(pointer string, n ast.Node) {
	if _, known := b.d.values[pointer]; known {
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
		b.d.values[pointer] = place{t.Position.Line, t.Position.Column}
	}
}

func (b *builder) object(values []*ast.MappingValueNode, pointer string, depth int) event.Value {
	var members, merged []event.Member
	at := map[string]int{}
	for _, m := range values {
		if _, ok := m.Key.(*ast.MergeKeyNode); ok {
			merged = append(merged, b.merged(m.Value, depth)...)
			continue
		}
		key := b.key(m.Key)
		inner := pointer + fault.PointerKey(key)
		if _, twice := at[key]; twice {
			b.fail(m.Key.GetToken(), "the key %q is written twice", key)
			continue
		}
		if t := m.Key.GetToken(); t != nil && t.Position != nil {
			b.d.keys[inner] = place{t.Position.Line, t.Position.Column}
		}
		at[key] = len(members)
		members = append(members, event.Member{Key: key, Value: b.value(m.Value, inner, depth+1)})
	}
	for _, m := range merged {
		if _, own := at[m.Key]; !own {
			at[m.Key] = len(members)
			members = append(members, m)
		}
	}
	return event.NewObject(members)
}

// merged are the members that a merge key brings.
func (b *builder) merged(n ast.Node, depth int) []event.Member {
	var members []event.Member
	v := b.value(n, "<<", depth+1)
	list := []event.Value{v}
	if v.Kind() == event.Array {
		list = nil
		for _, item := range v.Items() {
			list = append(list, item)
		}
	}
	for _, v := range list {
		for key, m := range v.Members() {
			members = append(members, event.Member{Key: key, Value: m})
		}
	}
	return members
}

func (b *builder) key(n ast.MapKeyNode) string {
	if s, ok := n.(*ast.StringNode); ok {
		return s.Value
	}
	return n.GetToken().Value
}

// number is how JSON writes one.
var number = regexp.MustCompile(`^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?$`)

// scalar is the value of a node without parts.
func (b *builder) scalar(n ast.Node) event.Value {
	t := n.GetToken()
	switch n := n.(type) {
	case *ast.NullNode:
		return event.NewNull()
	case *ast.BoolNode:
		return event.NewBool(n.Value)
	case *ast.LiteralNode:
		return event.NewString(strings.ToValidUTF8(n.Value.Value, "\uFFFD"))
	case *ast.StringNode:
		if t.Type == token.StringType && number.MatchString(n.Value) {
			return event.MustParse(n.Value)
		}
		return event.NewString(strings.ToValidUTF8(n.Value, "\uFFFD"))
	case *ast.IntegerNode:
		return b.digits(t, n.Value)
	case *ast.InfinityNode, *ast.NanNode:
		return event.NewString(t.Value)
	case *ast.FloatNode:
		return b.digits(t, n.Value)
	}
	b.fail(t, "%q has no place in JSON", t.Value)
	return event.NewNull()
}

// digits keeps a number as it is written where JSON can write it so.
func (b *builder) digits(t *token.Token, value any) event.Value {
	if number.MatchString(t.Value) {
		return event.MustParse(t.Value)
	}
	v, err := event.From(value)
	if err != nil {
		b.fail(t, "%q is no number", t.Value)
	}
	return v
}

func sortByPlace(problems fault.Problems) {
	slices.SortStableFunc(problems, func(a, b fault.Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
}
