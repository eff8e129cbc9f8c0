package runtime

import (
	"cmp"
	"slices"
	"strings"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/language/fieldschema"
	"github.com/landfall-dev/landfall/framework/language/mapping"
)

// sampleVariants is the number of different samples of a mapping.
const sampleVariants = 12

// sampler makes payloads as a mapping might make them of events that suit it: its constants are as they are, and what is read from the
// event is a value that its field accepts. The variants differ in the number of items of lists, in booleans, choices and texts.
type sampler struct {
	variant int    // bit 0: lists of two items, bit 1: false; the rest selects the text
	text    string // for fields that accept any text, in a third of the variants
	omitted string // the key of a field that has no value
}

// optionalReads returns the keys of the optional fields that a mapping reads from the event.
func optionalReads(fields fieldschema.Fields, whole event.Value) (keys []string) {
	for key, m := range whole.Members() {
		if f := fields.Get(key); mapping.IsDirective(m) && isDynamic(m) && (f == nil || !f.Required.Always) {
			keys = append(keys, key)
		}
	}
	return keys
}

// sampleText returns a text for samples of a mapping: the audience that the mapping names, or "sample".
func (p *Plan) sampleText(whole event.Value) string {
	if p.audiences == nil {
		return "sample"
	}
	key := whole.Get(p.audiences.Key)
	if isDynamic(key) {
		return "sample"
	}
	return cmp.Or(strings.TrimSpace(constantOf(key).Str()), "sample")
}

// objectOf returns a sample of the members of a mapping.
func (s sampler) objectOf(fields fieldschema.Fields, v event.Value) event.Value {
	var members []event.Member
	for key, m := range v.Members() {
		if key == s.omitted {
			continue
		}
		f := fields.Get(key)
		if f == nil {
			f = &fieldschema.Field{Key: key, Type: fieldschema.String}
		}
		if made := s.valueOf(f, m); made.Kind() != event.Absent {
			members = append(members, event.Member{Key: key, Value: made})
		}
	}
	return event.NewObject(members)
}

// valueOf returns a sample of what the mapping of a field makes.
func (s sampler) valueOf(f *fieldschema.Field, v event.Value) event.Value {
	switch {
	case !isDynamic(v):
		return constantOf(v)
	case mapping.IsDirective(v):
		return s.fieldValue(f)
	case v.Kind() == event.Array:
		single := *f
		single.Multiple = false
		items := make([]event.Value, 0, v.Len())
		for _, item := range v.Items() {
			items = append(items, s.valueOf(&single, item))
		}
		return event.NewArray(items)
	}
	s.omitted = "" // it is a key of the payload
	return s.objectOf(f.Properties, v)
}

// fieldValue returns a value that a field accepts.
func (s sampler) fieldValue(f *fieldschema.Field) event.Value {
	if f.Multiple {
		single := *f
		single.Multiple = false
		return event.NewArray(slices.Repeat([]event.Value{s.fieldValue(&single)}, 1+s.variant&1))
	}
	switch {
	case len(f.Choices) > 0:
		return f.Choices[s.variant%len(f.Choices)].Value
	case f.Type == fieldschema.Object:
		var members []event.Member
		for i := range f.Properties {
			members = append(members, event.Member{Key: f.Properties[i].Key, Value: s.fieldValue(&f.Properties[i])})
		}
		if members == nil {
			members = []event.Member{{Key: s.text, Value: event.NewBool(true)}}
		}
		return event.NewObject(members)
	case f.Type == fieldschema.Boolean:
		return event.NewBool(s.variant&2 == 0)
	case f.Type == fieldschema.Integer, f.Type == fieldschema.Number:
		return firstPresent(f.Minimum, f.Maximum, event.NewInt(1))
	case f.Type == fieldschema.Datetime:
		return event.NewString("2026-01-02T03:04:05Z")
	}
	text := [...]string{s.text, "2026-01-02T03:04:05Z", "https://example.com/"}[s.variant>>2]
	return event.NewString(cmp.Or(fieldschema.FormatExample(f.Format), text))
}

// firstPresent returns the first of the values that is not absent.
func firstPresent(values ...event.Value) event.Value {
	i := slices.IndexFunc(values, func(v event.Value) bool { return v.Kind() != event.Absent })
	return values[i]
}
