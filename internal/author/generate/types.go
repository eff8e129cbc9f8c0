package generate

import (
	"bytes"
	"fmt"
	"go/format"
	"slices"
	"strings"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/language/fieldschema"
)

// Types returns the source of the Go types of a definition's settings and payloads. Each type has a method Decode, which reads a
// value that has passed the schema, without reflection. An absent string, list or free object is the zero value; any other absent value is a nil pointer.
// A field with allowNull is an event.Nullable, or an event.Value if it is free, and distinguishes null from absent. Reserved fields are
// omitted, since the runtime handles them.
func Types(d *destination.Definition) ([]byte, error) {
	g := &types{names: map[string]bool{}}
	g.record("Settings", "Settings are the settings of an instance.", d.Settings)
	for _, a := range d.Actions {
		name := goName(a.Key) + "Payload"
		g.record(name, fmt.Sprintf("%s is the payload of the action %s.", name, a.Key), handlerFields(a.Fields))
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

// handlerFields returns the fields that handlers see.
func handlerFields(fields fieldschema.Fields) fieldschema.Fields {
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
	members := membersOf(name, fields)
	for _, m := range members {
		fmt.Fprintf(&g.out, "\t%s %s `json:%q` // %s\n", m.name, m.goType(), m.Key+",omitzero", strings.ReplaceAll(m.Label, "\n", " "))
		if m.isRecord() {
			g.pending = append(g.pending, record{m.item, fmt.Sprintf("%s is %s.", m.item, m.Label), m.Properties})
		}
	}
	fmt.Fprintf(&g.out, "}\n\n// Decode reads a value that has passed its schema.\nfunc (r *%s) Decode(v event.Value) {\n", name)
	if len(members) > 0 {
		g.out.WriteString("\tfor key, m := range v.Members() {\n\t\tswitch key {\n")
		for _, m := range members {
			fmt.Fprintf(&g.out, "\t\tcase %q:\n%s", m.Key, m.decode())
		}
		g.out.WriteString("\t\t}\n\t}\n")
	}
	g.out.WriteString("}\n\n")
}

// PackageName is the Go package of a destination: its slug without what Go does not take.
func PackageName(slug string) string { return strings.ReplaceAll(slug, "-", "") }
