package destination

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/language/fieldschema"
	"github.com/landfall-dev/landfall/framework/language/mapping"
)

// checkChoices checks that a field with choices has at least one, and that each has a value of its own, which the field accepts, and no
// unknown key.
func (l *linter) checkChoices(of, place string, f fieldschema.Field) (ok bool) {
	known, before, seen := []string{"label", "value", "description"}, len(l.findings), map[string]bool{}
	choices := f.Raw.Get("choices")
	if choices.Exists() && choices.Len() == 0 {
		l.addFinding(CheckFields, of, place+"/choices", "has no choices, so that every value is accepted: list the allowed values, or leave choices out")
	}
	for i, choice := range choices.Items() {
		at, value := fmt.Sprintf("%s/choices/%d", place, i), choice
		if choice.Kind() == event.Object {
			value = choice.Get("value")
		}
		if seen[value.JSON()] {
			l.addFinding(CheckFields, of, at, "is listed twice: %s", value.JSON())
		}
		seen[value.JSON()] = true
		if err := acceptsChoice(f, value); err != nil {
			l.addFinding(CheckFields, of, at, "is not a valid value of the field: %v", err)
		}
		if choice.Kind() != event.Object {
			continue
		}
		for key := range choice.Members() {
			if !slices.Contains(known, key) {
				l.addFinding(CheckFields, of, at+fault.PointerKey(key), "is not a known key%s", fault.DidYouMean(key, known))
			}
		}
		if choice.Get("value").Kind() == event.Absent {
			l.addFinding(CheckFields, of, at, `should have the key "value"`)
		}
	}
	return len(l.findings) == before
}

// checkRaw checks what only forms and the runtime's bounds read of a field, which parsing accepts in any form.
func (l *linter) checkRaw(of, place string, f fieldschema.Field) {
	if dynamic := f.Raw.Get("dynamic"); dynamic.Exists() && dynamic.Kind() != event.True && dynamic.Kind() != event.False {
		l.addFinding(CheckFields, of, place+"/dynamic", "should be true or false, without quotes, but is %s", dynamic.JSON())
	}
	for key, bound := range map[string]event.Value{"minimum": f.Minimum, "maximum": f.Maximum} {
		if math.IsInf(bound.Float(), 0) {
			l.addFinding(CheckFields, of, place+"/"+key, "is too large for a number: leave it out, or lower it")
		}
	}
}

// acceptsChoice returns an error if a choice, or a list of it for a field with several values, is not valid for its field.
func acceptsChoice(f fieldschema.Field, choice event.Value) error {
	if f.Choices = nil; f.Multiple {
		choice = event.NewArray([]event.Value{choice})
	}
	return acceptsValue(f, choice)
}

// DroppedKeys returns a problem for each key that a mapping of a field gives to an object which has no such property, so that it is
// dropped. The problems have JSON pointers into the mapping.
func DroppedKeys(f fieldschema.Field, v event.Value) (found fault.Problems) {
	if f.Type != fieldschema.Object || len(f.Properties) == 0 || f.AdditionalProperties {
		return nil
	}
	for i, item := range v.Items() {
		found.AddUnder(fmt.Sprintf("/%d", i), DroppedKeys(f, item).Err())
	}
	if mapping.IsDirective(v) {
		found.AddUnder("/@arrayPath/1", DroppedKeys(f, v.Get("@arrayPath").Index(1)).Err())
		found.AddUnder("/@if/then", DroppedKeys(f, v.Get("@if").Get("then")).Err())
		found.AddUnder("/@if/else", DroppedKeys(f, v.Get("@if").Get("else")).Err())
		return found
	}
	for key, m := range v.Members() {
		if inner := f.Properties.Get(key); inner != nil {
			found.AddUnder(fault.PointerKey(key), DroppedKeys(*inner, m).Err())
		} else {
			found.Add(fault.PointerKey(key), "is not a property of %s, so that it is dropped%s", f.Key, fault.DidYouMean(key, f.Properties.Keys()))
		}
	}
	return found
}

func (l *linter) checkShape(of, place string, f fieldschema.Field, v event.Value) {
	for _, p := range DroppedKeys(f, v) {
		l.addFinding(CheckDefaults, of, place+p.Pointer, "%s", p.Message)
	}
}

// isPathText reports whether a default is most likely a path that should be read, such as $.event.
func isPathText(v event.Value) bool {
	name, ok := strings.CutPrefix(v.Str(), "$.")
	return ok && name != "" && !strings.ContainsAny(name, " \n{}")
}

// checkConditions checks that the conditions under which a field is shown refer to fields that exist: beside it, or in the whole action.
// ParseFields checks those under which it is required. The values of both must be choices of the fields.
func (l *linter) checkConditions(of, place string, f fieldschema.Field, fields, whole fieldschema.Fields) {
	for _, kind := range []string{"depends_on", "required"} {
		for i, c := range f.Raw.Get(kind).Get("conditions").Items() {
			key := c.Get("fieldKey").Str()
			other := fields.Find(key)
			if other == nil {
				other = whole.Find(key)
			}
			if other != nil {
				l.checkConditionValue(of, fmt.Sprintf("%s/%s/conditions/%d/value", place, kind, i), *other, c.Get("value"))
			}
		}
	}
	for i, c := range f.Raw.Get("depends_on").Get("conditions").Items() {
		key := c.Get("fieldKey").Str()
		first, _, _ := strings.Cut(key, ".")
		if c.Get("type").Str() == "syncMode" || key == "" || strings.HasPrefix(key, "__segment_internal_") || fields.Get(first) != nil || whole.Get(first) != nil {
			continue
		}
		l.addFinding(CheckFields, of, fmt.Sprintf("%s/depends_on/conditions/%d/fieldKey", place, i), "there is no field %q%s",
			key, fault.DidYouMean(first, append(fields.Keys(), whole.Keys()...)))
	}
}

// checkConditionValue checks that a field can have the value of a condition, or one of its values.
func (l *linter) checkConditionValue(of, place string, other fieldschema.Field, value event.Value) {
	if len(other.Choices) == 0 || other.OpenChoices {
		return
	}
	for _, v := range itemsOf(value) {
		if !v.Falsy() && !slices.ContainsFunc(other.Choices, func(c fieldschema.Choice) bool { return c.Value.Text() == v.Text() }) {
			l.addFinding(CheckFields, of, place, "is not a choice of %s: %s", other.Key, v.JSON())
		}
	}
}
