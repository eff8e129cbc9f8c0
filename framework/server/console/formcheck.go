package console

import (
	"strconv"
	"strings"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
)

// updateVisibility hides the inputs whose depends_on conditions are not met.
func (f *setupForm) updateVisibility() {
	settings := event.NewObject(nil)
	var values []event.Member
	for _, s := range f.Settings {
		v := plainValue(s.Field, s.Text)
		if s.Text == "" {
			v = s.Field.Default
		}
		values = append(values, event.Member{Key: s.Field.Key, Value: v})
	}
	settings = destination.Overlay(settings, event.NewObject(values))
	for _, s := range f.Settings {
		s.Hidden = !conditionsHold(s.Field.Raw.Get("depends_on"), settings)
	}
	for _, sub := range f.Subscriptions {
		if sub.Action == nil {
			continue
		}
		mapped := destination.Overlay(sub.Action.DefaultMapping(), sub.mappingValue())
		for _, in := range sub.allFields() {
			in.Hidden = !conditionsHold(in.Field.Raw.Get("depends_on"), mapped)
		}
	}
}

// conditionsHold reports whether depends_on conditions are true for values. A condition without a value is true if the field is not set.
func conditionsHold(conditions, values event.Value) bool {
	list := conditions.Get("conditions")
	if list.Len() == 0 {
		return true
	}
	anyOf := conditions.Get("match").Str() == "any"
	for _, c := range list.Items() {
		key := c.Get("fieldKey").Str()
		if key == "" {
			return true // it refers to something that the form does not have
		}
		found := values
		for part := range strings.SplitSeq(key, ".") {
			found = found.Get(part)
		}
		isTrue := equalsAny(found, c.Get("value")) == (c.Get("operator").Str() != "is_not")
		if isTrue == anyOf {
			return anyOf
		}
	}
	return !anyOf
}

func equalsAny(found, wanted event.Value) bool {
	switch wanted.Kind() {
	case event.Absent, event.Null:
		return found.Kind() == event.Absent || found.IsString() && found.Str() == ""
	case event.Array:
		for _, w := range wanted.Items() {
			if event.Equal(found, w) {
				return true
			}
		}
		return false
	}
	return event.Equal(found, wanted)
}

// placeProblems attaches each problem to the input it is about. pointer is the JSON pointer of the instance.
func (f *setupForm) placeProblems(problems fault.Problems, pointer string) {
	for _, p := range problems {
		view := problemView{capitalize(p.Message), p.Excerpt}
		rest, inInstance := strings.CutPrefix(p.Pointer, pointer)
		if !inInstance || !f.placeProblem(event.PointerSteps(rest), view) {
			f.Problems = append(f.Problems, capitalize(strings.TrimSpace(strings.TrimPrefix(strings.TrimPrefix(rest, "/settings"), "/")+" "+p.Message)))
		}
	}
}

// placeProblem attaches a problem to the input at the path. It returns false if no input has this path.
func (f *setupForm) placeProblem(steps []string, view problemView) bool {
	switch {
	case len(steps) >= 2 && (steps[0] == "settings" || steps[0] == "auth"):
		inputs := f.Settings
		if steps[0] == "auth" {
			inputs = f.Auth
		}
		for _, s := range inputs {
			if s.Field.Key == steps[1] {
				s.Errors = append(s.Errors, view)
				return true
			}
		}
	case len(steps) >= 2 && steps[0] == "subscriptions":
		if i, err := strconv.Atoi(steps[1]); err == nil && i < len(f.Subscriptions) {
			f.Subscriptions[i].placeProblem(steps[2:], view)
			return true
		}
	}
	return false
}

func (s *subscriptionInput) placeProblem(steps []string, view problemView) {
	switch {
	case len(steps) >= 2 && steps[0] == "mapping" && !s.AsJSON:
		for _, in := range s.allFields() {
			if in.Field.Key == steps[1] {
				if in.Mode == modeCard && len(steps) > 2 {
					view.Message = strings.Join(steps[2:], " › ") + ": " + view.Message
				}
				in.Errors = append(in.Errors, view)
				return
			}
		}
	case len(steps) >= 1 && steps[0] == "mapping":
		if len(steps) > 1 {
			view.Message = "/" + strings.Join(steps[1:], "/") + " " + view.Message
		}
		s.Errors["json"] = append(s.Errors["json"], view)
		return
	case len(steps) >= 1 && (steps[0] == "subscribe" || steps[0] == "syncMode"):
		s.Errors[steps[0]] = append(s.Errors[steps[0]], view)
		return
	}
	s.Errors[""] = append(s.Errors[""], view)
}
