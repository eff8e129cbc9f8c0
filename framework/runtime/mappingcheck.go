package runtime

import (
	"fmt"
	"slices"
	"strings"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/language/fieldschema"
	"github.com/landfall-dev/landfall/framework/language/mapping"
)

// CheckMapping finds the parts of a mapping for which an action with these fields refuses every event: a required field that
// has no mapping, a constant that is not valid for its field, or a path or template that is broken. doubtful lists constants for which
// only some events are refused. Both have JSON pointers into the mapping, which must compile and include the defaults.
func CheckMapping(fields fieldschema.Fields, whole event.Value) (wrong, doubtful fault.Problems) {
	wrong = mapping.Mistakes(whole)
	if isDynamic(whole) && isComputed(whole) {
		return wrong, nil
	}
	lenient, err := fieldschema.Compile(withoutRequired(fields))
	if err != nil {
		return append(wrong, fault.ProblemsOf(err)...), nil
	}
	c := mappingChecker{schema: lenient}
	if isComputed(whole) {
		if whole, err = evaluate(whole); err != nil {
			return wrong, nil // checkEvaluation reports it
		}
		if whole.Kind() != event.Object {
			d := newDefect("", "produces %s for every event, which is not a payload", whole.Kind().WithArticle())
			return append(wrong, d.problem()), nil
		}
	}
	found := c.checkObject(nil, fields, whole, "")
	return append(wrong, problemsOf(found.wrong)...), problemsOf(found.doubtful)
}

// isComputed reports whether a mapping is one directive, so that its keys are not known before it runs.
func isComputed(whole event.Value) bool {
	return mapping.IsDirective(whole) || whole.Get("__segment_internal_directive").Kind() != event.Absent
}

// withoutRequired returns fields none of which is required, at any depth.
func withoutRequired(fields fieldschema.Fields) fieldschema.Fields {
	if fields == nil {
		return nil
	}
	free := slices.Clone(fields)
	for i := range free {
		free[i].Required = fieldschema.Required{}
		free[i].Properties = withoutRequired(free[i].Properties)
	}
	return free
}

// mappingChecker checks the constant parts of a mapping.
type mappingChecker struct{ schema *fieldschema.Schema }

// defect is a part of a mapping for which events are refused.
type defect struct {
	pointer, message string
	branch           bool // only events that take this branch of the mapping are refused
}

func newDefect(pointer, format string, args ...any) defect {
	return defect{pointer: pointer, message: fmt.Sprintf(format, args...)}
}

func (d defect) problem() fault.Problem {
	which := "every event is"
	if d.branch {
		which = "events that take this branch are"
	}
	return fault.Problem{Pointer: d.pointer, Message: d.message + ", so " + which + " refused"}
}

func problemsOf(defects []defect) (list fault.Problems) {
	for _, d := range defects {
		list = append(list, d.problem())
	}
	return list
}

// findings are what is wrong for every event, and what is wrong for some.
type findings struct{ wrong, doubtful []defect }

func (f *findings) add(more findings) {
	f.wrong, f.doubtful = append(f.wrong, more.wrong...), append(f.doubtful, more.doubtful...)
}

// checkObject checks the members of an object that every payload has, at a path of the payload.
func (c *mappingChecker) checkObject(path []string, fields fieldschema.Fields, v event.Value, place string) (found findings) {
	for i := range fields {
		f := &fields[i]
		m, inner, required := v.Get(f.Key), place+fault.PointerKey(f.Key), isRequired(f, v)
		switch {
		case m.Kind() != event.Absent:
			found.add(c.checkField(append(slices.Clone(path), f.Key), f, m, inner, required))
		case required:
			found.wrong = append(found.wrong, newDefect(place, "maps nothing to the required field %s (%s), which has no default", labelOf(f), f.Key))
		}
	}
	return found
}

// isRequired reports whether every payload must have a field. Conditions count if the constant parts of the mapping decide them.
func isRequired(f *fieldschema.Field, siblings event.Value) bool {
	if f.Required.Always {
		return true
	}
	var known []event.Member
	for _, condition := range f.Required.Conditions {
		key, _, _ := strings.Cut(condition.FieldKey, ".")
		if m := siblings.Get(key); isDynamic(m) {
			return false
		} else if m.Kind() != event.Absent {
			known = append(known, event.Member{Key: key, Value: constantOf(m)})
		}
	}
	return f.Required.IsRequiredIn(event.NewObject(known))
}

// checkField checks the mapping of a field. If only some of its possible values are wrong, only some events are refused.
func (c *mappingChecker) checkField(path []string, f *fieldschema.Field, v event.Value, place string, required bool) findings {
	var all, some findings
	allWrong := true
	for _, result := range alternativesOf(v, place) {
		found := c.checkAlternative(path, f, result, required)
		allWrong = allWrong && len(found.wrong) > 0
		all.add(found)
		if result.unknown || !c.isDropped(path, result.value) { // a branch without a value says so on purpose
			some.doubtful = append(append(some.doubtful, found.doubtful...), ofBranch(found.wrong)...)
		}
	}
	if allWrong {
		return all
	}
	return some
}

// ofBranch returns defects as those of one branch of the mapping.
func ofBranch(defects []defect) []defect {
	defects = slices.Clone(defects)
	for i := range defects {
		defects[i].branch = true
	}
	return defects
}

func (c *mappingChecker) checkAlternative(path []string, f *fieldschema.Field, a alternative, required bool) (found findings) {
	object, list := a.value.Kind() == event.Object, a.value.Kind() == event.Array
	switch {
	case a.unknown, a.whole && f.Type == fieldschema.Object:
	case object && f.Type == fieldschema.Object && isDynamic(a.value):
		return c.checkObject(path, f.Properties, a.value, a.place)
	case object && isDynamic(a.value):
		found.wrong = c.checkConstant(path, event.NewObject(nil), a.place)
	case list && isDynamic(a.value) && (f.Multiple || f.Type != fieldschema.Object && a.value.Len() == 1):
		for i, item := range a.value.Items() {
			found.add(c.checkField(path, f, item, fmt.Sprintf("%s/%d", a.place, i), false))
		}
	case list && isDynamic(a.value):
		found.wrong = c.checkConstant(path, event.NewArray([]event.Value{event.NewObject(nil), event.NewObject(nil)}), a.place)
	case required && c.isDropped(path, a.value):
		found.wrong = append(found.wrong, newDefect(a.place, "gives no value to the required field %s (%s)%s", labelOf(f), f.Key, droppedText(a.value)))
	default:
		found.wrong = c.checkConstant(path, a.value, a.place)
		if object && f.Type == fieldschema.Object && len(found.wrong) == 0 {
			return c.checkObject(path, f.Properties, a.value, a.place)
		}
	}
	return found
}

// droppedText describes a constant that cleaning drops.
func droppedText(v event.Value) string {
	if v.Kind() == event.Absent {
		return ""
	}
	return ": " + v.JSON()
}

// checkConstant checks a constant against the field at a path.
func (c *mappingChecker) checkConstant(path []string, v event.Value, place string) (wrong []defect) {
	_, err := c.schema.Process(wrapAt(path, v))
	for _, p := range fieldschema.ProblemsOf(err) {
		inner := p.Pointer
		for _, key := range path {
			_, inner, _ = strings.Cut(inner, fault.PointerKey(key)) // past the 0 of a list that an object was made
		}
		if v.Kind() != event.Array {
			inner = strings.TrimPrefix(inner, "/0")
		}
		wrong = append(wrong, newDefect(place+inner, "%s", p.Message))
	}
	return wrong
}

// isDropped reports whether a constant counts as nothing, such as null.
func (c *mappingChecker) isDropped(path []string, v event.Value) bool {
	cleaned := c.schema.Clean(wrapAt(path, v))
	for _, key := range path {
		if cleaned.Kind() == event.Array {
			cleaned = cleaned.Index(0)
		}
		cleaned = cleaned.Get(key)
	}
	return cleaned.Kind() == event.Absent
}

// wrapAt returns a payload that has only this value, at a path.
func wrapAt(path []string, v event.Value) event.Value {
	for _, key := range slices.Backward(path) {
		v = event.NewObject([]event.Member{{Key: key, Value: v}})
	}
	return v
}

func labelOf(f *fieldschema.Field) string {
	if f.Label == "" {
		return f.Key
	}
	return f.Label
}

// alternative is a possible value of a part of a mapping, and its position.
type alternative struct {
	value   event.Value // absent for none; may have directives inside
	place   string
	unknown bool // it comes from the event, or evaluating it fails
	whole   bool // it is the whole event, in whose place value is an empty object
}

// alternativesOf returns the values that a part of a mapping may take.
func alternativesOf(v event.Value, place string) []alternative {
	branches, literal := v.Get("@if"), v.Get("@literal")
	switch {
	case !isDynamic(v):
		constant, err := evaluate(v) // checkEvaluation reports the error
		return []alternative{{value: constant, place: place, unknown: err != nil}}
	case !mapping.IsDirective(v):
		return []alternative{{value: v, place: place}}
	case literal.Kind() != event.Absent:
		return alternativesOf(literal, place+"/@literal")
	case v.Get("@path").IsString() && len(event.NewPath(v.Get("@path").Str()).Keys()) == 0:
		return []alternative{{value: event.NewObject(nil), place: place + "/@path", whole: true}}
	case branches.Kind() == event.Object:
		var all []alternative
		for _, key := range []string{"then", "else"} {
			if branch := branches.Get(key); branch.Kind() != event.Absent {
				all = append(all, alternativesOf(branch, place+"/@if/"+key)...)
			} else {
				all = append(all, alternative{place: place + "/@if"})
			}
		}
		return all
	}
	return []alternative{{place: place, unknown: true}}
}

// isDynamic reports whether what a part of a mapping makes depends on the event.
func isDynamic(v event.Value) bool {
	for _, item := range v.Items() {
		if isDynamic(item) {
			return true
		}
	}
	for key, m := range v.Members() {
		if key == "__segment_internal_directive" || mapping.ReadsEvent(key, m) || isDynamic(m) {
			return true
		}
	}
	return false
}

// constantOf returns what a part of a mapping that is not dynamic makes of every event; absent if it fails on every event.
func constantOf(v event.Value) event.Value {
	made, _ := evaluate(v)
	return made
}

// evaluate returns what a part of a mapping that is not dynamic makes of every event, or the error that it fails with. A part that does not
// compile makes nothing: that is reported with its place.
func evaluate(v event.Value) (event.Value, error) {
	compiled, err := mapping.Compile(v)
	if err != nil {
		return event.Value{}, nil
	}
	return compiled.Resolve(event.NewObject(nil))
}
