package generate

import (
	"bytes"
	"fmt"
	"go/format"
	"slices"
	"strings"
	"unicode"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/language/fieldschema"
)

// Types are the Go types of a definition's settings and payloads. Each has a Decode that reads a value which has passed
// the schema, without reflection. Strings, lists and free objects are their zero values where they are absent; other
// absent values are nil pointers. The reserved fields are left out: what they say is for the runtime, not for a handler.
func Types(d *destination.Definition) ([]byte, error) {
	g := &types{names: map[string]bool{}}
	g.record("Settings", "Settings are the settings of an instance.", d.Settings)
	for _, a := range d.Actions {
		name := goName(a.Key) + "Payload"
		g.record(name, fmt.Sprintf("%s is what the action %s takes.", name, a.Key), handlers(a.Fields))
	}
	for len(g.pending) > 0 {
		next := g.pending[0]
		g.pending = g.pending[1:]
		g.record(next.name, next.doc, next.fields)
	}
	if g.err != nil {
		return nil, g.err
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "%spackage %s\n\nimport \"github.com/landfall-dev/landfall/framework/event\"\n\n", header, PackageName(d.Slug))
	b.Write(g.out.Bytes())
	return format.Source(b.Bytes())
}

// handlers are the fields that handlers see.
func handlers(fields fieldschema.Fields) fieldschema.Fields {
	return slices.DeleteFunc(slices.Clone(fields), func(f fieldschema.Field) bool { return destination.IsReserved(f.Key) })
}

// types collects the source of the types of a definition.
type types struct {
	out     bytes.Buffer
	pending []record // types of nested objects, still to be written
	names   map[string]bool
	err     error
}

type record struct {
	name, doc string
	fields    fieldschema.Fields
}

func (g *types) record(name, doc string, fields fieldschema.Fields) {
	if g.names[name] && g.err == nil {
		g.err = fmt.Errorf("two types would be called %s in Go: rename an action or a field", name)
	}
	g.names[name] = true
	fmt.Fprintf(&g.out, "// %s\ntype %s struct {\n", doc, name)
	taken := map[string]string{}
	for _, f := range fields {
		if other, twice := taken[goName(f.Key)]; twice && g.err == nil {
			g.err = fmt.Errorf("the fields %s and %s would both be called %s in Go: rename one", other, f.Key, goName(f.Key))
		}
		taken[goName(f.Key)] = f.Key
		fmt.Fprintf(&g.out, "\t%s %s // %s\n", goName(f.Key), g.typeOf(name, f), strings.ReplaceAll(f.Label, "\n", " "))
	}
	fmt.Fprintf(&g.out, "}\n\n// Decode reads a value that has passed its schema.\nfunc (r *%s) Decode(v event.Value) {\n", name)
	if len(fields) > 0 {
		g.out.WriteString("\tfor key, m := range v.Members() {\n\t\tswitch key {\n")
		for _, f := range fields {
			fmt.Fprintf(&g.out, "\t\tcase %q:\n%s", f.Key, g.decode(name, f))
		}
		g.out.WriteString("\t\t}\n\t}\n")
	}
	g.out.WriteString("}\n\n")
}

// typeOf is the Go type of a field; a type for an object with properties is put down to be written.
func (g *types) typeOf(owner string, f fieldschema.Field) string {
	item := g.itemType(owner, f)
	switch {
	case f.Multiple:
		return "[]" + item
	case item == "string" && !f.AllowNull, item == "event.Value":
		return item
	}
	return "*" + item
}

func (g *types) itemType(owner string, f fieldschema.Field) string {
	switch f.Type {
	case fieldschema.Number:
		return "float64"
	case fieldschema.Integer:
		return "int64"
	case fieldschema.Boolean:
		return "bool"
	case fieldschema.Object:
		if len(f.Properties) == 0 || f.AdditionalProperties {
			return "event.Value"
		}
		name := owner + goName(f.Key)
		return name
	case fieldschema.Datetime:
		return "event.Value"
	}
	return "string"
}

// decode is the body of a field's case.
func (g *types) decode(owner string, f fieldschema.Field) string {
	item := g.itemType(owner, f)
	if item == owner+goName(f.Key) {
		g.pending = append(g.pending, record{item, fmt.Sprintf("%s is %s.", item, f.Label), f.Properties})
	}
	field := "r." + goName(f.Key)
	if f.Multiple {
		add := fmt.Sprintf("%s = append(%s, %s)\n", field, field, one(item))
		if one(item) == "" {
			add = fmt.Sprintf("var item %s\n%s%s = append(%s, item)\n", item, assign("item", "m", item), field, field)
		}
		return fmt.Sprintf("if n := m.Len(); n > 0 {\n%s = make([]%s, 0, n)\n}\nfor _, m := range m.Items() {\n%s}\n", field, item, add)
	}
	switch target := g.typeOf(owner, f); {
	case target == item:
		return assign(field, "m", item)
	default:
		return fmt.Sprintf("if m.Exists() {\n%s = new(%s)\n%s}\n", field, item, assignTo(field, item))
	}
}

// one is the Go of the value m as one of a kind; "" where that takes more than an expression.
func one(kind string) string {
	return map[string]string{"string": "m.Str()", "float64": "m.Float()", "int64": "m.Int()", "event.Value": "m"}[kind]
}

// assign sets a variable from a value.
func assign(variable, value, kind string) string {
	switch kind {
	case "string":
		return fmt.Sprintf("%s = %s.Str()\n", variable, value)
	case "float64":
		return fmt.Sprintf("%s = %s.Float()\n", variable, value)
	case "int64":
		return fmt.Sprintf("%s = %s.Int()\n", variable, value)
	case "bool":
		return fmt.Sprintf("%s, _ = %s.Bool()\n", variable, value)
	case "event.Value":
		return fmt.Sprintf("%s = %s\n", variable, value)
	}
	return fmt.Sprintf("%s.Decode(%s)\n", variable, value)
}

// assignTo sets what a pointer points to.
func assignTo(pointer, kind string) string {
	if text := assign("*"+pointer, "m", kind); !strings.Contains(text, ".Decode(") {
		return text
	}
	return pointer + ".Decode(m)\n"
}

// PackageName is the Go package of a destination: its slug without what Go does not take.
func PackageName(slug string) string { return strings.ReplaceAll(slug, "-", "") }

// TypeName is a key as the first part of the name of a Go type.
func TypeName(key string) string { return goName(key) }

// initialisms are written in capitals.
var initialisms = map[string]string{"id": "ID", "url": "URL", "api": "API", "ip": "IP", "http": "HTTP", "ids": "IDs"}

// goName is a key as the name of a Go field.
func goName(key string) string {
	words := strings.FieldsFunc(key, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
	var b strings.Builder
	for _, w := range words {
		if known, ok := initialisms[strings.ToLower(w)]; ok {
			b.WriteString(known)
			continue
		}
		first := []rune(w)
		first[0] = unicode.ToUpper(first[0])
		b.WriteString(string(first))
	}
	if name := b.String(); name != "" && !unicode.IsDigit([]rune(name)[0]) {
		return name
	}
	return "F" + b.String()
}
