package yamldoc

import (
	"strings"

	"github.com/goccy/go-yaml/ast"

	"github.com/landfall-dev/landfall/framework/event"
)

// OwnText returns the text of a plain scalar that is read as a number, true, false or null, as it is written: 0123, which is read as
// 83. ok is false for other values, quoted ones among them, which are what they look like.
func (d *Document) OwnText(pointer string) (text string, ok bool) {
	text, ok = d.texts[pointer]
	return text, ok
}

// Rewritten reports whether the number at a pointer is written in another way than JSON would write it, such as 0123 or 1_000.
func (d *Document) Rewritten(pointer string) (text string, ok bool) {
	text, ok = d.texts[pointer]
	return text, ok && !number.MatchString(text)
}

// keepText keeps the text of a scalar that is read as something else than a string. A null is a text only if it is written ~.
func (b *builder) keepText(n ast.Node, pointer string, v event.Value) {
	text := strings.TrimSpace(n.GetToken().Value)
	if s, ok := n.(*ast.StringNode); ok {
		text = s.Value
	}
	if v.Kind() == event.String || text == "" || v.Kind() == event.Null && text != "~" {
		return
	}
	if _, known := b.d.texts[pointer]; !known {
		b.d.texts[pointer] = text
	}
}
