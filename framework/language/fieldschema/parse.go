package fieldschema

import (
	"strings"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
)

// ParseFields reads field definitions: an object of fields by key. The error is a fault.Problems with a JSON pointer for each
// mistake.
func ParseFields(v event.Value) (Fields, error) {
	p := fieldParser{}
	return p.fields(v, ""), p.problems.Err()
}

// Check finds what the form of fields does not show: conditions on fields that are not there, which never hold.
func (list Fields) Check() fault.Problems {
	p := fieldParser{}
	p.conditions(list, "")
	return p.problems
}

type fieldParser struct{ problems fault.Problems }

func (p *fieldParser) fields(v event.Value, place string) Fields {
	if v.Kind() != event.Object {
		p.problems.Add(place, "should be an object of fields but is %s", v.Kind().WithArticle())
		return nil
	}
	fields := make(Fields, 0, v.Len())
	for key, field := range v.Members() {
		fields = append(fields, p.field(key, field, place+fault.PointerKey(key)))
	}
	return fields
}

func (p *fieldParser) field(key string, v event.Value, place string) Field {
	if v.Kind() != event.Object {
		p.problems.Add(place, "should be a field, an object, but is %s", v.Kind().WithArticle())
		return Field{Key: key, Type: String}
	}
	f := Field{
		Key: key, Label: v.Get("label").Str(), Description: v.Get("description").Str(), Format: v.Get("format").Str(),
		Multiple: p.flag(v, place, "multiple"), AllowNull: p.flag(v, place, "allowNull"),
		AdditionalProperties: p.flag(v, place, "additionalProperties"), OpenChoices: p.flag(v, place, "openChoices"),
		Minimum: p.bound(v, place, "minimum"), Maximum: p.bound(v, place, "maximum"), Default: v.Get("default"), Raw: v,
	}
	f.Type = p.typeOf(v.Get("type"), place+"/type")
	f.Required = p.required(v.Get("required"), place+"/required")
	f.Choices = p.choices(v.Get("choices"), place+"/choices")
	if properties := v.Get("properties"); properties.Exists() {
		f.Properties = p.fields(properties, place+"/properties")
	}
	if f.Label == "" {
		f.Label = key
	}
	f.format = formats()[f.Format]
	if f.Format != "" && f.format == nil {
		p.problems.Add(place+"/format", "there is no format %q%s", f.Format, fault.DidYouMean(f.Format, formatNames()))
	}
	return f
}

func (p *fieldParser) typeOf(v event.Value, place string) Type {
	for _, name := range types {
		if v.Str() == name {
			return Type(name)
		}
	}
	p.problems.Add(place, "there is no type %q%s; there are %s", v.Str(), fault.DidYouMean(v.Str(), types), strings.Join(types, ", "))
	return String
}

func (p *fieldParser) flag(v event.Value, place, key string) bool {
	flag := v.Get(key)
	b, ok := flag.Bool()
	if !ok && flag.Exists() {
		p.problems.Add(place+"/"+key, "should be true or false but is %s", flag.Kind().WithArticle())
	}
	return b
}

func (p *fieldParser) bound(v event.Value, place, key string) event.Value {
	bound := v.Get(key)
	if bound.Exists() && bound.Kind() != event.Number {
		p.problems.Add(place+"/"+key, "should be a number but is %s", bound.Kind().WithArticle())
	}
	if bound.Kind() != event.Number {
		return event.Value{}
	}
	return bound
}

func (p *fieldParser) choices(v event.Value, place string) []Choice {
	if v.Exists() && v.Kind() != event.Array {
		p.problems.Add(place, "should be a list but is %s", v.Kind().WithArticle())
	}
	var choices []Choice
	for _, item := range v.Items() {
		c := Choice{Label: item.Text(), Value: item}
		if item.Kind() == event.Object {
			c = Choice{Label: item.Get("label").Text(), Value: item.Get("value")}
		}
		choices = append(choices, c)
	}
	return choices
}

func (p *fieldParser) required(v event.Value, place string) Required {
	switch v.Kind() {
	case event.Absent, event.Null:
		return Required{}
	case event.True, event.False:
		return Required{Always: v.Kind() == event.True}
	case event.Object:
	default:
		p.problems.Add(place, "should be true, false or conditions but is %s", v.Kind().WithArticle())
		return Required{}
	}
	r := Required{Any: v.Get("match").Str() == "any"}
	for _, c := range v.Get("conditions").Items() {
		key := c.Get("fieldKey").Str()
		if c.Get("type").Str() == "syncMode" {
			key = SyncModeKey
		}
		r.Conditions = append(r.Conditions, Condition{FieldKey: key, Not: c.Get("operator").Str() == "is_not", Value: c.Get("value")})
	}
	return r
}

// SyncModeKey is the key under which conditions on the sync mode look for it in a payload.
const SyncModeKey = "__segment_internal_sync_mode"

// conditions refuses conditions on fields that are not there.
func (p *fieldParser) conditions(fields Fields, place string) {
	for i := range fields {
		f := &fields[i]
		for j, c := range f.Required.Conditions {
			root, _, _ := strings.Cut(c.FieldKey, ".")
			if c.FieldKey != SyncModeKey && fields.Get(c.FieldKey) == nil && fields.Get(root) == nil {
				p.problems.Add(place+fault.PointerKey(f.Key)+"/required", "condition %d is on the field %q, which is not there%s",
					j+1, c.FieldKey, fault.DidYouMean(c.FieldKey, fields.Keys()))
			}
		}
		p.conditions(f.Properties, place+fault.PointerKey(f.Key)+"/properties")
	}
}
