package fieldschema

import (
	"strings"

	"github.com/landfall-dev/landfall/framework/event"
)

// members builds an object key by key.
type members []event.Member

func (m *members) add(key string, v event.Value) { *m = append(*m, event.Member{Key: key, Value: v}) }

func (m *members) text(key, text string) {
	if text != "" {
		m.add(key, event.NewString(text))
	}
}

func (m members) object() event.Value { return event.NewObject(m) }

func strs(words ...string) event.Value {
	items := make([]event.Value, len(words))
	for i, w := range words {
		items[i] = event.NewString(w)
	}
	return event.NewArray(items)
}

// publish is the JSON Schema of fields.
func publish(fields Fields) event.Value {
	m := members{}
	m.add("$schema", event.NewString("https://json-schema.org/draft/2020-12/schema"))
	objectSchema(&m, fields, false)
	return m.object()
}

// objectSchema adds the keywords of an object with these properties.
func objectSchema(m *members, fields Fields, additional bool) {
	m.add("type", event.NewString("object"))
	properties, required, conditions := members{}, []string{}, []event.Value{}
	for i := range fields {
		f := &fields[i]
		properties.add(f.Key, f.schema())
		if f.Required.Always {
			required = append(required, f.Key)
		}
		if len(f.Required.Conditions) > 0 {
			conditions = append(conditions, f.Required.schema(f.Key))
		}
	}
	m.add("properties", properties.object())
	m.add("additionalProperties", event.NewBool(additional))
	if len(required) > 0 {
		m.add("required", strs(required...))
	}
	if len(conditions) > 0 {
		m.add("allOf", event.NewArray(conditions))
	}
}

// schema is the JSON Schema of a field.
func (f *Field) schema() event.Value {
	m := members{}
	m.text("title", f.Label)
	m.text("description", f.Description)
	if f.Default.Kind() != event.Absent {
		m.add("default", f.Default)
	}
	if !f.Multiple {
		f.valueSchema(&m, f.AllowNull)
		return m.object()
	}
	m.add("type", event.NewString("array"))
	items := members{}
	f.valueSchema(&items, false)
	m.add("items", items.object())
	return m.object()
}

// valueSchema adds the keywords of a value of the field, or of an item where it is multiple.
func (f *Field) valueSchema(m *members, null bool) {
	switch {
	case f.hasProperties():
		objectSchema(m, f.Properties, f.AdditionalProperties)
		(*m)[indexOf(*m, "type")].Value = f.withNull([]string{"object"}, null)
	case f.Type == Datetime:
		m.add("type", f.withNull([]string{"string", "number"}, null))
		m.add("format", event.NewString(dateLike))
	case f.Type.isText():
		m.add("type", f.withNull([]string{"string"}, null))
	default:
		m.add("type", f.withNull([]string{string(f.Type)}, null))
	}
	if f.Format != "" && f.Type != Datetime {
		m.add("format", event.NewString(f.Format))
	} else if f.Type == Password {
		m.add("format", event.NewString("password"))
	}
	least, most := "minimum", "maximum"
	if f.Type.takesEmpty() {
		least, most = "minLength", "maxLength"
	}
	if f.bounded() && f.Minimum.Exists() {
		m.add(least, f.Minimum)
	}
	if f.bounded() && f.Maximum.Exists() {
		m.add(most, f.Maximum)
	}
	if len(f.Choices) > 0 && !f.OpenChoices {
		m.add("enum", f.enum(null))
	}
}

func indexOf(m members, key string) int {
	for i := range m {
		if m[i].Key == key {
			return i
		}
	}
	return -1
}

// bounded tells whether minimum and maximum mean something: a length needs whole bounds that are not negative.
func (f *Field) bounded() bool {
	switch {
	case f.Type == Number || f.Type == Integer:
		return true
	case !f.Type.isText():
		return false
	}
	for _, bound := range []event.Value{f.Minimum, f.Maximum} {
		if bound.Exists() && (strings.ContainsAny(bound.Digits(), ".eE-")) {
			return false
		}
	}
	return true
}

func (f *Field) withNull(kinds []string, null bool) event.Value {
	if null {
		kinds = append(kinds, "null")
	}
	if len(kinds) == 1 {
		return event.NewString(kinds[0])
	}
	return strs(kinds...)
}

func (f *Field) enum(null bool) event.Value {
	values := make([]event.Value, 0, len(f.Choices)+1)
	for _, c := range f.Choices {
		values = append(values, c.Value)
	}
	if null {
		values = append(values, event.NewNull())
	}
	return event.NewArray(values)
}

// schema is the rule that a field is required where its conditions hold.
func (r Required) schema(key string) event.Value {
	conditions := make([]event.Value, len(r.Conditions))
	for i, c := range r.Conditions {
		conditions[i] = c.schema()
	}
	match := "allOf"
	if r.Any {
		match = "anyOf"
	}
	rule := members{}
	rule.add("if", members{{Key: match, Value: event.NewArray(conditions)}}.object())
	rule.add("then", members{{Key: "required", Value: strs(key)}}.object())
	return rule.object()
}

// schema is what a payload looks like for which the condition holds.
func (c Condition) schema() event.Value {
	var is event.Value
	negate := c.Not
	if c.Value.Kind() == event.Absent {
		is = members{{Key: "not", Value: members{{Key: "type", Value: event.NewString("null")}}.object()}}.object()
		negate = !negate // "is" with nothing asks for what is not set
	} else {
		is = members{{Key: "const", Value: c.Value}}.object()
	}
	keys := strings.Split(c.FieldKey, ".")
	for i := len(keys) - 1; i >= 0; i-- {
		m := members{}
		m.add("type", event.NewString("object"))
		m.add("properties", members{{Key: keys[i], Value: is}}.object())
		m.add("required", strs(keys[i]))
		is = m.object()
	}
	if negate {
		return members{{Key: "not", Value: is}}.object()
	}
	return is
}
