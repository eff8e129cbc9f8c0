package yamldoc

import (
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"

	"github.com/landfall-dev/landfall/framework/event"
)

// buildTagged converts a value with a tag. The tags of the JSON types decide the type, such as !!str 5 and !!int "5"; a time stays a text,
// and other tags are ignored.
func (b *builder) buildTagged(n *ast.TagNode, pointer string, depth int) event.Value {
	tag := n.GetToken().Value
	var v event.Value
	var isRight bool
	switch tag {
	case "!!str", "!!timestamp":
		if text, isScalar := writtenText(n.Value); isScalar {
			b.nodes++
			return event.NewString(text)
		}
		v = b.buildValue(n.Value, pointer, depth+1)
	case "!!int", "!!float":
		v = b.buildPlain(n.Value, pointer, depth)
		isRight = v.Kind() == event.Number
	case "!!bool":
		v = b.buildPlain(n.Value, pointer, depth)
		isRight = v.Kind() == event.True || v.Kind() == event.False
	case "!!null":
		v = b.buildPlain(n.Value, pointer, depth)
		isRight = v.Kind() == event.Null
	case "!!binary":
		b.addProblem(n.GetToken(), "!!binary cannot be represented in JSON: write the text itself")
		return event.NewNull()
	default:
		return b.buildValue(n.Value, pointer, depth+1)
	}
	if !isRight {
		b.addProblem(n.GetToken(), "%s is before %s", tag, v.Kind().WithArticle())
	}
	return v
}

// buildPlain converts a scalar as if it were written without quotes.
func (b *builder) buildPlain(n ast.Node, pointer string, depth int) event.Value {
	text, isScalar := writtenText(n)
	if !isScalar {
		return b.buildValue(n, pointer, depth+1)
	}
	plain, err := Parse("", []byte(text))
	if err != nil || plain.Value().Kind() == event.Object || plain.Value().Kind() == event.Array {
		return event.NewString(text)
	}
	b.nodes++
	if own, ok := plain.ScalarText(""); ok {
		b.d.scalarTexts[pointer] = own
	}
	return plain.Value()
}

// writtenText returns the text of a scalar as it is written, without quotes.
func writtenText(n ast.Node) (text string, ok bool) {
	switch n := n.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.LiteralNode:
		return n.Value.Value, true
	case *ast.NullNode:
		if n.GetToken().Type == token.ImplicitNullType {
			return "", true
		}
		return n.GetToken().Value, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		return n.GetToken().Value, true
	}
	return "", false
}
