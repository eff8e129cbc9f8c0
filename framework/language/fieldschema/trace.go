package fieldschema

import (
	"strings"

	"github.com/landfall-dev/landfall/framework/event"
)

// Trace is what became of one key of a payload.
type Trace struct {
	Key     string
	Label   string      // "" where no field is for the key
	Mapped  event.Value // as it came
	Cleaned event.Value
	Coerced event.Value
	Reason  string // why it is absent, changed or not valid; "" where it is as it came
}

// Trace tells what Process makes of each key of a payload, and of each field that it does not have. It is for people, and
// slower than Process.
func (s *Schema) Trace(payload event.Value) []Trace {
	cleaned := s.Clean(payload)
	coerced := s.Coerce(cleaned)
	wrong := map[string][]string{}
	for _, p := range ProblemsOf(s.Validate(coerced)) {
		key := event.PointerSteps(p.Pointer + "/")[0]
		wrong[key] = append(wrong[key], p.Message)
	}
	var traces []Trace
	for key, v := range payload.Members() {
		t := Trace{Key: key, Mapped: v, Cleaned: cleaned.Get(key), Coerced: coerced.Get(key)}
		f := s.fields.Get(key)
		if f != nil {
			t.Label = f.Label
		}
		t.Reason = t.reason(f, wrong[key])
		traces = append(traces, t)
	}
	for i := range s.fields {
		if f := &s.fields[i]; payload.Get(f.Key).Kind() == event.Absent {
			traces = append(traces, Trace{Key: f.Key, Label: f.Label, Reason: strings.Join(wrong[f.Key], "; ")})
		}
	}
	return traces
}

func (t *Trace) reason(f *Field, wrong []string) string {
	switch {
	case len(wrong) > 0:
		return strings.Join(wrong, "; ")
	case f == nil:
		return "dropped: the action has no such field"
	case t.Cleaned.Kind() == event.Absent && t.Mapped.Kind() == event.Null:
		return "dropped: null is no value here"
	case t.Cleaned.Kind() == event.Absent:
		return "dropped: empty"
	case !event.Equal(t.Mapped, t.Cleaned) && f.Multiple && t.Mapped.Kind() != event.Array:
		return "made a list"
	case !event.Equal(t.Cleaned, t.Coerced):
		return "turned from " + t.Cleaned.Kind().WithArticle() + " into " + t.Coerced.Kind().WithArticle()
	case !event.Equal(t.Mapped, t.Cleaned):
		return "cleaned"
	}
	return ""
}
