package fieldschema

import (
	"strings"

	"github.com/landfall-dev/landfall/framework/event"
)

// Trace shows how Process treats one key of a payload.
type Trace struct {
	Key     string
	Label   string      // "" if no field has the key
	Mapped  event.Value // the value before processing
	Cleaned event.Value
	Coerced event.Value
	Reason  string // why it is dropped, changed or invalid; "" if it is unchanged
}

// Trace returns how Process treats each key of a payload, followed by the fields that the payload lacks. It is for display and
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
		t.Reason = t.changeReason(f, wrong[key])
		traces = append(traces, t)
	}
	for i := range s.fields {
		if f := &s.fields[i]; payload.Get(f.Key).Kind() == event.Absent {
			traces = append(traces, Trace{Key: f.Key, Label: f.Label, Reason: strings.Join(wrong[f.Key], "; ")})
		}
	}
	return traces
}

func (t *Trace) changeReason(f *Field, wrong []string) string {
	switch {
	case len(wrong) > 0:
		return strings.Join(wrong, "; ")
	case f == nil:
		return "dropped: the action has no such field"
	case t.Cleaned.Kind() == event.Absent && t.Mapped.Kind() == event.Null:
		return "dropped: null is not allowed"
	case t.Cleaned.Kind() == event.Absent:
		return "dropped: empty"
	case !event.Equal(t.Mapped, t.Cleaned) && f.Multiple && t.Mapped.Kind() != event.Array:
		return "wrapped in a list"
	case t.Cleaned.Kind() == t.Coerced.Kind() && !event.Equal(t.Cleaned, t.Coerced):
		return "values in it are converted"
	case !event.Equal(t.Cleaned, t.Coerced):
		return "converted from " + t.Cleaned.Kind().WithArticle() + " to " + t.Coerced.Kind().WithArticle()
	case !event.Equal(t.Mapped, t.Cleaned):
		return "cleaned"
	}
	return ""
}
