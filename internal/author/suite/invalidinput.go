package suite

import (
	"fmt"
	"strings"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/language/fieldschema"
	"github.com/landfall-dev/landfall/framework/runtime"
)

// invalidValue is a value with one mistake.
type invalidValue struct {
	what  string // the mistake, for messages
	place string // JSON pointer
	label string // the label that an error must contain
	value event.Value
}

// invalidValues returns copies of a valid value with one mistake each: a required field that is missing, or a field of another
// type or out of bounds.
func invalidValues(fields fieldschema.Fields, good event.Value) (list []invalidValue) {
	for _, f := range fields {
		place := fault.PointerKey(f.Key)
		if f.Required.Always {
			list = append(list, invalidValue{"is missing", place, f.Label, withMember(good, f.Key, event.Value{})})
		}
		for what, v := range invalidFieldValues(f) {
			item := place
			if f.Multiple {
				v, item = event.NewArray([]event.Value{v}), place+"/0"
			}
			list = append(list, invalidValue{what, item, f.Label, withMember(good, f.Key, v)})
		}
		if inner := good.Get(f.Key); inner.Kind() == event.Object && !f.Multiple {
			for _, w := range invalidValues(f.Properties, inner) {
				w.place, w.value = place+w.place, withMember(good, f.Key, w.value)
				list = append(list, w)
			}
		}
	}
	return list
}

// invalidFieldValues returns values that are invalid for a field, by the mistake.
func invalidFieldValues(f fieldschema.Field) map[string]event.Value {
	text, object := event.NewString("%zz is no such thing"), event.NewObject([]event.Member{{Key: "k", Value: event.NewInt(1)}})
	bad := map[string]event.Value{"is of another type": object}
	if f.Type == fieldschema.Object {
		bad["is of another type"] = text
	}
	if len(f.Choices) > 0 && !f.OpenChoices {
		bad["is no choice"] = text
	}
	switch f.Format {
	case "", "text", "password", "uri-reference":
	default:
		bad["is of another format"] = text
	}
	for key, bound := range map[string]event.Value{"is too small": f.Minimum, "is too large": f.Maximum} {
		if !bound.Exists() || f.Key == destination.BatchSize || f.Key == destination.BatchBytes { // the runtime limits them
			continue
		}
		beyond := bound.Float() + 1
		if key == "is too small" {
			beyond = bound.Float() - 1
		}
		switch f.Type {
		case fieldschema.Number, fieldschema.Integer:
			bad[key] = event.NewFloat(beyond)
		case fieldschema.String, fieldschema.Text, fieldschema.Password:
			if beyond >= 1 && beyond < 1<<20 {
				bad[key] = event.NewString(strings.Repeat("x", int(beyond)))
			}
		}
	}
	return bad
}

// withMember returns an object with another value at a key, or without the key if the value is absent.
func withMember(v event.Value, key string, value event.Value) event.Value {
	var members []event.Member
	for k, m := range v.Members() {
		if k != key {
			members = append(members, event.Member{Key: k, Value: m})
		}
	}
	if value.Kind() != event.Absent {
		members = append(members, event.Member{Key: key, Value: value})
	}
	return event.NewObject(members)
}

// checkBadSettings checks that an instance with invalid or unknown settings does not start, and that the error has the
// setting's label and place, and no secret.
func checkBadSettings(s *subject) {
	settings := withDefaults(s.anySettings(), s.definition.Settings)
	list := invalidValues(s.definition.Settings, settings)
	list = append(list, invalidValue{"is no setting", "/no_such_setting", "no_such_setting", withMember(settings, "no_such_setting", event.NewInt(1))})
	for _, w := range list {
		sm := sample{}
		sm.instance.ID, sm.instance.Settings = "suite", w.value
		if f := s.definition.Settings.Get(strings.TrimPrefix(w.place, "/")); w.what == "is missing" && f != nil && f.Default.Exists() {
			continue // the default is used
		}
		_, err := s.newRig(sm, respondWith(200, "{}"))
		s.checkRefusal("settings."+w.place[1:], w, err, "/settings")
	}
	for _, f := range s.definition.Settings {
		if f.Type.IsText() {
			s.checkStrangeSetting(f.Key, withMember(settings, f.Key, event.NewString("::%zz strange")))
		}
	}
}

// checkStrangeSetting checks that the error for a text that only CheckSettings can refuse contains no secret.
func (s *subject) checkStrangeSetting(key string, settings event.Value) {
	sm := sample{}
	sm.instance.ID, sm.instance.Settings = "suite", settings
	if _, err := s.newRig(sm, respondWith(200, "{}")); err != nil {
		s.checkNoSecret("settings."+key, "the error of a strange text", err.Error())
	}
}

// withDefaults returns settings with the defaults of absent ones.
func withDefaults(settings event.Value, fields fieldschema.Fields) event.Value {
	for _, f := range fields {
		if settings.Get(f.Key).Kind() == event.Absent && f.Default.Kind() != event.Absent {
			settings = withMember(settings, f.Key, f.Default)
		}
	}
	return settings
}

// anySettings returns valid settings.
func (s *subject) anySettings() event.Value {
	for _, sm := range s.samples {
		return sm.instance.Settings
	}
	return event.NewObject(nil)
}

// checkRefusal checks that an error names the field and its place.
func (s *subject) checkRefusal(of string, w invalidValue, err error, root string) {
	if err == nil {
		s.addFinding(of, "is accepted although it %s", w.what)
		return
	}
	placed := false
	for _, p := range fieldschema.ProblemsOf(err) {
		placed = placed || p.Pointer == root+w.place
	}
	if !placed {
		s.addFinding(of, "%s, but the error does not have the place %s: %v", w.what, w.place, err)
	}
	if text := err.Error(); !strings.Contains(text, w.label) && !strings.Contains(text, w.place[1:]) {
		s.addFinding(of, "%s, but the error does not name %q: %v", w.what, w.label, err)
	}
	s.checkNoSecret(of, "the error of one that "+w.what, err.Error())
}

// checkBadPayloads checks that an invalid payload is refused before anything is sent for it, with the field's label and place,
// and that the valid payloads of its batch are sent.
func checkBadPayloads(s *subject) {
	s.eachSample(func(action string, sm sample) {
		r, err := s.newRig(sm, nil)
		if err != nil {
			s.addFinding(action, "%v", err)
			return
		}
		list := invalidValues(s.definition.Action(action).Fields, sm.payload)
		payloads := []event.Value{sm.payload}
		for _, w := range list {
			payloads = append(payloads, w.value)
		}
		verdicts := r.deliverPayloads(s.baseContext(), sm.event, payloads...)
		if !isAccepted(verdicts[0]) {
			s.addFinding(action, "a good payload before bad ones is %s: %s", verdicts[0].Outcome, verdicts[0].Reason)
		}
		for i, w := range list {
			of := action + "." + strings.ReplaceAll(w.place[1:], "/", ".")
			_, err := r.firstSubscription().Schema().Process(w.value)
			s.checkRefusal(of, w, err, "")
			if v := verdicts[i+1]; err != nil && (v.Outcome != runtime.Refused || v.Code != fault.CodeInvalidPayload) {
				s.addFinding(of, "%s, and the verdict is %s %s", w.what, v.Outcome, v.Code)
			}
		}
	})
}

// checkUnknownKeys checks that keys without a field do not reach the handler, and that a mapping with one causes a warning.
func checkUnknownKeys(s *subject) {
	const key = "no_such_field"
	s.eachSample(func(action string, sm sample) {
		text := event.NewString("what no field is for")
		sub := sm.instance.Subscriptions[0]
		mapped := sub.Mapping
		if mapped.Kind() != event.Object {
			mapped = event.NewObject(nil)
		}
		sub.Mapping = withMember(mapped, key, text)
		sm.instance.Subscriptions = append(sm.instance.Subscriptions[:0:0], sub)
		r, err := s.newRig(sm, nil)
		if err != nil {
			s.addFinding(action, "%v", err)
			return
		}
		if warnings := fmt.Sprint(r.plan.Warnings()); !strings.Contains(warnings, key) {
			s.addFinding(action, "a mapping with an unknown field causes no warning")
		}
		r.deliverPayloads(s.baseContext(), sm.event, withMember(sm.payload, key, text))
		for _, request := range r.sentRequests() {
			if strings.Contains(request, text.Str()) {
				s.addFinding(action, "an unknown key is sent")
			}
		}
	})
}
