package fieldschema

import (
	"slices"
	"strings"

	"github.com/landfall-dev/landfall/framework/event"
)

// memberList builds an object member by member.
type memberList []event.Member

func (m *memberList) add(key string, v event.Value) {
	*m = append(*m, event.Member{Key: key, Value: v})
}

func (m *memberList) addText(key, text string) {
	if text != "" {
		m.add(key, event.NewString(text))
	}
}

func (m memberList) toObject() event.Value { return event.NewObject(m) }

func stringArray(words ...string) event.Value {
	items := make([]event.Value, len(words))
	for i, w := range words {
		items[i] = event.NewString(w)
	}
	return event.NewArray(items)
}

// jsonSchemaOf returns the JSON Schema of fields.
func jsonSchemaOf(fields Fields) event.Value {
	m := memberList{}
	m.add("$schema", event.NewString("https://json-schema.org/draft/2020-12/schema"))
	addObjectSchema(&m, fields, false)
	return m.toObject()
}

// addObjectSchema adds the keywords of an object with these properties.
func addObjectSchema(m *memberList, fields Fields, additional bool) {
	m.add("type", event.NewString("object"))
	properties, required, conditions := memberList{}, []string{}, []event.Value{}
	for i := range fields {
		f := &fields[i]
		properties.add(f.Key, f.jsonSchema())
		if f.Required.Always {
			required = append(required, f.Key)
		}
		if len(f.Required.Conditions) > 0 {
			conditions = append(conditions, f.Required.jsonSchema(f.Key))
		}
	}
	m.add("properties", properties.toObject())
	m.add("additionalProperties", event.NewBool(additional))
	if len(required) > 0 {
		m.add("required", stringArray(required...))
	}
	if len(conditions) > 0 {
		m.add("allOf", event.NewArray(conditions))
	}
}

// jsonSchema returns the JSON Schema of a field.
func (f *Field) jsonSchema() event.Value {
	m := memberList{}
	m.addText("title", f.Label)
	m.addText("description", f.Description)
	if f.Default.Kind() != event.Absent {
		m.add("default", f.Default)
	}
	if !f.Multiple {
		f.addValueSchema(&m, f.AllowNull)
		return m.toObject()
	}
	m.add("type", event.NewString("array"))
	items := memberList{}
	f.addValueSchema(&items, false)
	m.add("items", items.toObject())
	return m.toObject()
}

// addValueSchema adds the keywords of a value of the field, or of one item if the field is multiple.
func (f *Field) addValueSchema(m *memberList, null bool) {
	e := f.entry()
	if f.hasProperties() {
		addObjectSchema(m, f.Properties, f.AdditionalProperties)
		(*m)[indexOf(*m, "type")].Value = f.typesWithNull(null)
	} else {
		m.add("type", f.typesWithNull(null))
	}
	if f.Format != "" && f.Type != Datetime {
		m.addText("format", f.Format)
	} else {
		m.addText("format", e.format)
	}
	if f.hasBounds() && f.Minimum.Exists() {
		m.add(e.bounds[0], f.Minimum)
	}
	if f.hasBounds() && f.Maximum.Exists() {
		m.add(e.bounds[1], f.Maximum)
	}
	if len(f.Choices) > 0 && !f.OpenChoices {
		m.add("enum", f.enumValues(null))
	}
}

func indexOf(m memberList, key string) int {
	for i := range m {
		if m[i].Key == key {
			return i
		}
	}
	return -1
}

// hasBounds reports whether minimum and maximum apply to the field. The bounds of a length must be non-negative integers.
func (f *Field) hasBounds() bool {
	switch f.entry().bounds {
	case sizeBounds:
		return true
	case lengthBounds:
		return (!f.Minimum.Exists() || hasDigitsOnly(f.Minimum)) && (!f.Maximum.Exists() || hasDigitsOnly(f.Maximum))
	}
	return false
}

// typesWithNull returns the types of a value of the field, and null if it is allowed.
func (f *Field) typesWithNull(null bool) event.Value {
	kinds := slices.Clone(f.entry().jsonTypes)
	if null {
		kinds = append(kinds, "null")
	}
	return typeValue(kinds)
}

// typeValue returns the value of the keyword type.
func typeValue(kinds []string) event.Value {
	if len(kinds) == 1 {
		return event.NewString(kinds[0])
	}
	return stringArray(kinds...)
}

func (f *Field) enumValues(null bool) event.Value {
	values := make([]event.Value, 0, len(f.Choices)+1)
	for _, c := range f.Choices {
		values = append(values, c.Value)
	}
	if null {
		values = append(values, event.NewNull())
	}
	return event.NewArray(values)
}

// jsonSchema returns the rule that the field is required if its conditions are met.
func (r Required) jsonSchema(key string) event.Value {
	conditions := make([]event.Value, len(r.Conditions))
	for i, c := range r.Conditions {
		conditions[i] = c.jsonSchema()
	}
	match := "allOf"
	if r.Any {
		match = "anyOf"
	}
	rule := memberList{}
	rule.add("if", memberList{{Key: match, Value: event.NewArray(conditions)}}.toObject())
	rule.add("then", memberList{{Key: "required", Value: stringArray(key)}}.toObject())
	return rule.toObject()
}

// jsonSchema returns the JSON Schema of the payloads that meet the condition.
func (c Condition) jsonSchema() event.Value {
	var is event.Value
	negate := c.Not
	if c.Value.Kind() == event.Absent {
		is = memberList{{Key: "not", Value: memberList{{Key: "type", Value: event.NewString("null")}}.toObject()}}.toObject()
		negate = !negate // "is" without a value means that the field is not set
	} else {
		is = memberList{{Key: "const", Value: c.Value}}.toObject()
	}
	keys := strings.Split(c.FieldKey, ".")
	for i := len(keys) - 1; i >= 0; i-- {
		m := memberList{}
		m.add("type", event.NewString("object"))
		m.add("properties", memberList{{Key: keys[i], Value: is}}.toObject())
		m.add("required", stringArray(keys[i]))
		is = m.toObject()
	}
	if negate {
		return memberList{{Key: "not", Value: is}}.toObject()
	}
	return is
}
