package fieldschema

import (
	"strings"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
)

// ParseFields parses field definitions, an object of fields by key. The error is a fault.Problems with a JSON pointer for each
// mistake.
func ParseFields(v event.Value) (Fields, error) {
	p := fieldParser{}
	return p.parseFields(v, ""), p.problems.Err()
}

// Check returns mistakes that parsing does not detect: conditions on fields that do not exist and therefore are never met.
func (list Fields) Check() fault.Problems {
	p := fieldParser{}
	p.checkConditions(list, "")
	return p.problems
}

type fieldParser struct{ problems fault.Problems }

func (p *fieldParser) parseFields(v event.Value, pointer string) Fields {
	if v.Kind() != event.Object {
		p.problems.Add(pointer, "should be an object of fields but is %s", v.Kind().WithArticle())
		return nil
	}
	fields := make(Fields, 0, v.Len())
	for key, field := range v.Members() {
		fields = append(fields, p.parseField(key, field, pointer+fault.PointerKey(key)))
	}
	return fields
}

func (p *fieldParser) parseField(key string, v event.Value, pointer string) Field {
	if v.Kind() != event.Object {
		p.problems.Add(pointer, "should be a field, an object, but is %s", v.Kind().WithArticle())
		return Field{Key: key, Type: String}
	}
	f := Field{
		Key: key, Label: v.Get("label").Str(), Description: v.Get("description").Str(), Format: v.Get("format").Str(),
		Multiple: p.parseFlag(v, pointer, "multiple"), AllowNull: p.parseFlag(v, pointer, "allowNull"),
		AdditionalProperties: p.parseFlag(v, pointer, "additionalProperties"), OpenChoices: p.parseFlag(v, pointer, "openChoices"),
		Minimum: p.parseBound(v, pointer, "minimum"), Maximum: p.parseBound(v, pointer, "maximum"), Default: v.Get("default"), Raw: v,
	}
	f.kind = p.parseType(v.Get("type"), pointer+"/type")
	f.Type = f.kind.name
	f.Required = p.parseRequired(v.Get("required"), pointer+"/required")
	f.Choices = p.parseChoices(v.Get("choices"), pointer+"/choices")
	if properties := v.Get("properties"); properties.Exists() {
		f.Properties = p.parseFields(properties, pointer+"/properties")
	}
	if f.Label == "" {
		f.Label = key
	}
	if e := findFormat(f.Format); e != nil {
		f.format = e.accepts
	} else if f.Format != "" {
		p.problems.Add(pointer+"/format", "unknown format %q%s", f.Format, fault.DidYouMean(f.Format, formatNames()))
	}
	return f
}

func (p *fieldParser) parseType(v event.Value, pointer string) *typeEntry {
	e := Type(v.Str()).entry()
	if !v.IsString() || string(e.name) != v.Str() {
		p.problems.Add(pointer, "unknown type %q%s: the types are %s", v.Str(), fault.DidYouMean(v.Str(), typeNames()), strings.Join(typeNames(), ", "))
	}
	return e
}

func (p *fieldParser) parseFlag(v event.Value, pointer, key string) bool {
	flag := v.Get(key)
	b, ok := flag.Bool()
	if !ok && flag.Exists() {
		p.problems.Add(pointer+"/"+key, "should be true or false but is %s", flag.Kind().WithArticle())
	}
	return b
}

func (p *fieldParser) parseBound(v event.Value, pointer, key string) event.Value {
	bound := v.Get(key)
	if bound.Exists() && bound.Kind() != event.Number {
		p.problems.Add(pointer+"/"+key, "should be a number but is %s", bound.Kind().WithArticle())
	}
	if bound.Kind() != event.Number {
		return event.Value{}
	}
	return bound
}

func (p *fieldParser) parseChoices(v event.Value, pointer string) []Choice {
	if v.Exists() && v.Kind() != event.Array {
		p.problems.Add(pointer, "should be a list but is %s", v.Kind().WithArticle())
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

func (p *fieldParser) parseRequired(v event.Value, pointer string) Required {
	switch v.Kind() {
	case event.Absent, event.Null:
		return Required{}
	case event.True, event.False:
		return Required{Always: v.Kind() == event.True}
	case event.Object:
	default:
		p.problems.Add(pointer, "should be true, false or conditions but is %s", v.Kind().WithArticle())
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

// SyncModeKey is the key of the payload that conditions on the sync mode refer to.
const SyncModeKey = "__segment_internal_sync_mode"

// checkConditions adds a problem for each condition on a field that does not exist.
func (p *fieldParser) checkConditions(fields Fields, pointer string) {
	for i := range fields {
		f := &fields[i]
		for j, c := range f.Required.Conditions {
			root, _, _ := strings.Cut(c.FieldKey, ".")
			if c.FieldKey != SyncModeKey && fields.Get(c.FieldKey) == nil && fields.Get(root) == nil {
				p.problems.Add(pointer+fault.PointerKey(f.Key)+"/required", "condition %d is on the field %q, which does not exist%s",
					j+1, c.FieldKey, fault.DidYouMean(c.FieldKey, fields.Keys()))
			}
		}
		p.checkConditions(f.Properties, pointer+fault.PointerKey(f.Key)+"/properties")
	}
}
