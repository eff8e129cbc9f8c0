package generate

import (
	"fmt"
	"strings"

	"github.com/landfall-dev/landfall/framework/language/fieldschema"
)

// member is a field of a definition as a field of a Go struct.
type member struct {
	fieldschema.Field
	name string // in Go
	item string // the Go type of one value
}

// membersOf returns the members of a struct in the order of its fields. Keys that give the same name in Go, such as userId and
// user_id, are numbered, and so is one that gives the name of the method Decode.
func membersOf(owner string, fields fieldschema.Fields) []member {
	taken := map[string]bool{"Decode": true}
	members := make([]member, len(fields))
	for i, f := range fields {
		name := goName(f.Key)
		for n := 2; taken[name]; n++ {
			name = fmt.Sprintf("%s%d", goName(f.Key), n)
		}
		taken[name] = true
		members[i] = member{Field: f, name: name, item: itemType(owner+name, f)}
	}
	return members
}

// FieldName returns the name in Go of the field with a key, in the struct of these fields.
func FieldName(fields fieldschema.Fields, key string) string {
	for _, m := range membersOf("", fields) {
		if m.Key == key {
			return m.name
		}
	}
	return ""
}

// valueType is the Go type of values of any kind.
const valueType = "event.Value"

// itemType returns the Go type of one value of a field. nested is the name of its type if it is an object with properties.
func itemType(nested string, f fieldschema.Field) string {
	switch f.Type {
	case fieldschema.Number:
		return "float64"
	case fieldschema.Integer:
		return "int64"
	case fieldschema.Boolean:
		return "bool"
	case fieldschema.Object:
		if len(f.Properties) == 0 || f.AdditionalProperties {
			return valueType
		}
		return nested
	case fieldschema.Datetime:
		return valueType
	}
	return "string"
}

// isRecord reports whether a value of the field has its own struct type.
func (m member) isRecord() bool { return readers()[m.item] == "" }

// isNullable reports whether the field is an event.Nullable. An event.Value needs none to distinguish null from absent.
func (m member) isNullable() bool { return m.AllowNull && (m.Multiple || m.item != valueType) }

// goType returns the Go type of the field.
func (m member) goType() string {
	kind := m.item
	if m.Multiple {
		kind = "[]" + kind
	}
	switch {
	case m.isNullable():
		return "event.Nullable[" + kind + "]"
	case m.Multiple, kind == "string", kind == valueType:
		return kind
	}
	return "*" + kind
}

// readers returns the functions that read a value, by the Go type that they return. Struct types have a Decode method instead.
func readers() map[string]string {
	return map[string]string{
		"string": "event.Value.Str", "float64": "event.Value.Float", "int64": "event.Value.Int",
		"bool": "func(m event.Value) bool { return m.Kind() == event.True }", valueType: "func(m event.Value) event.Value { return m }",
	}
}

// read returns an expression that reads m as one value; "" if that takes a statement.
func (m member) read() string {
	return map[string]string{"string": "m.Str()", "float64": "m.Float()", "int64": "m.Int()", "bool": "m.Kind() == event.True", valueType: "m"}[m.item]
}

// decode returns the body of the field's case, which reads m.
func (m member) decode() string {
	field := "r." + m.name
	switch {
	case m.Multiple && m.isNullable():
		return fmt.Sprintf("%s = event.ReadNullable(m, func(m event.Value) []%s {\nitems := make([]%s, 0, m.Len())\n%sreturn items\n})\n",
			field, m.item, m.item, m.appendItems("items"))
	case m.Multiple:
		return fmt.Sprintf("if n := m.Len(); n > 0 {\n%s = make([]%s, 0, n)\n}\n%s", field, m.item, m.appendItems(field))
	case m.isNullable() && m.isRecord():
		return fmt.Sprintf("%s = event.ReadNullable(m, func(m event.Value) (item %s) {\nitem.Decode(m)\nreturn item\n})\n", field, m.item)
	case m.isNullable():
		return fmt.Sprintf("%s = event.ReadNullable(m, %s)\n", field, readers()[m.item])
	case !strings.HasPrefix(m.goType(), "*"):
		return fmt.Sprintf("%s = %s\n", field, m.read())
	case m.isRecord():
		return fmt.Sprintf("if m.Exists() {\n%s = new(%s)\n%s.Decode(m)\n}\n", field, m.item, field)
	case m.item == "bool":
		return fmt.Sprintf("if m.Exists() {\n%s = new(%s)\n*%s, _ = m.Bool()\n}\n", field, m.item, field)
	}
	return fmt.Sprintf("if m.Exists() {\n%s = new(%s)\n*%s = %s\n}\n", field, m.item, field, m.read())
}

// appendItems returns a loop that appends the items of m to a list.
func (m member) appendItems(list string) string {
	body := fmt.Sprintf("%s = append(%s, %s)\n", list, list, m.read())
	if m.isRecord() {
		body = fmt.Sprintf("var item %s\nitem.Decode(m)\n%s = append(%s, item)\n", m.item, list, list)
	}
	return fmt.Sprintf("for _, m := range m.Items() {\n%s}\n", body)
}
