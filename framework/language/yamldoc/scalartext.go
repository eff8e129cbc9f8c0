package yamldoc

import (
	"fmt"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"github.com/landfall-dev/landfall/framework/event"
)

// ScalarText returns the original text of a plain scalar that was read as a number, true, false or null. For example, 0123 is read
// as 83. ok is false for other values, such as quoted strings.
func (d *Document) ScalarText(pointer string) (text string, ok bool) {
	text, ok = d.scalarTexts[pointer]
	return text, ok
}

// NonJSONNumber returns the original text of the number at a pointer. ok is true if the number is not in JSON's notation, for
// example 0123 or 1_000, or is one that JSON does not have, such as .nan, which is read as a text.
func (d *Document) NonJSONNumber(pointer string) (text string, ok bool) {
	if text, ok = d.nonNumbers[pointer]; ok {
		return text, true
	}
	text, ok = d.scalarTexts[pointer]
	isNumber := ok && strings.ContainsAny(text[:1], "0123456789+-.") // true, false and ~ have texts too
	return text, isNumber && !jsonNumber.MatchString(text)
}

// NotationWarning says how the number at a pointer, whose value is v, is read, if it is not written in JSON's notation. Otherwise it returns "".
func (d *Document) NotationWarning(v event.Value, pointer string) string {
	text, ok := d.NonJSONNumber(pointer)
	switch {
	case !ok:
		return ""
	case v.Kind() == event.Number:
		return fmt.Sprintf("is written %s but read as the number %s: write the number like that, or put it in quotes if it is text", text, v.JSON())
	}
	return fmt.Sprintf("is written %s, which is not a number in JSON and is read as a text: put it in quotes if it is one", text)
}

// recordText records the text of a scalar that is not a string. For null, only ~ counts as a text.
func (b *builder) recordText(n ast.Node, pointer string, v event.Value) {
	text := strings.TrimSpace(n.GetToken().Value)
	if s, ok := n.(*ast.StringNode); ok {
		text = s.Value
	}
	switch n.(type) {
	case *ast.InfinityNode, *ast.NanNode:
		b.d.nonNumbers[pointer] = text
	}
	if v.Kind() == event.String || text == "" || v.Kind() == event.Null && text != "~" {
		return
	}
	if _, known := b.d.scalarTexts[pointer]; !known {
		b.d.scalarTexts[pointer] = text
	}
}
