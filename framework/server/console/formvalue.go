package console

import (
	"slices"

	"github.com/landfall-dev/landfall/framework/event"
)

// mappingValue returns the mapping as the file stores it; absent if it is empty. Keys that the form does not show keep their value.
func (s *subscriptionInput) mappingValue() event.Value {
	original := s.raw.Get("mapping")
	if s.AsJSON {
		v, err := event.ParseString(s.JSON)
		if err != nil || v.Kind() != event.Object || v.Len() == 0 && original.Kind() == event.Absent {
			return original
		}
		return v
	}
	list := membersOf(original)
	for _, in := range s.allFields() {
		list = setMember(list, in.Field.Key, in.value)
	}
	if len(list) == 0 && original.Kind() == event.Absent {
		return event.Value{}
	}
	return event.NewObject(list)
}

func membersOf(v event.Value) []event.Member {
	var list []event.Member
	for key, m := range v.Members() {
		list = append(list, event.Member{Key: key, Value: m})
	}
	return list
}

// setMember replaces the member with the key, or appends it. An absent value removes it.
func setMember(list []event.Member, key string, v event.Value) []event.Member {
	at := slices.IndexFunc(list, func(m event.Member) bool { return m.Key == key })
	switch {
	case at >= 0 && v.Kind() == event.Absent:
		return slices.Delete(list, at, at+1)
	case at >= 0:
		list[at].Value = v
	case v.Kind() != event.Absent:
		return append(list, event.Member{Key: key, Value: v})
	}
	return list
}

// configValue returns the setting as the file stores it; absent if it is empty.
func (s *settingInput) configValue() event.Value {
	switch {
	case s.Text == "" && s.Literal:
		return s.fileValue
	case s.Text == "":
		return event.Value{}
	case s.IsSecret():
		if !reference.MatchString(s.Text) {
			s.Errors = append(s.Errors, problemView{Message: "Enter ${NAME} for an environment variable. The secret itself is not written to the file; file:PATH and exec:COMMAND can be entered only in the file itself."})
			return s.fileValue
		}
		return event.NewString(s.Text)
	case s.Text == inputText(s.fileValue):
		return s.fileValue
	}
	return plainValue(s.Field, s.Text)
}

// instanceValue returns the instance as the file stores it. Keys that the form does not show keep their value.
func (f *setupForm) instanceValue() event.Value {
	list := membersOf(f.raw)
	list = setMember(list, "id", event.NewString(f.ID))
	if f.Name != "" && (f.Name != f.ID || f.raw.Get("name").Exists()) {
		list = setMember(list, "name", event.NewString(f.Name))
	} else if f.Name == "" {
		list = setMember(list, "name", event.Value{})
	}
	if f.raw.Get("destination").Kind() == event.Absent {
		list = setMember(list, "destination", event.NewString(f.Definition.Slug))
	}
	list = setDefaultTrueFlag(list, "enabled", f.Enabled)
	list = setMember(list, "sources", f.sourcesValue())
	settings := membersOf(f.raw.Get("settings"))
	for _, s := range f.Settings {
		settings = setMember(settings, s.Field.Key, s.configValue())
	}
	if len(settings) > 0 || f.raw.Get("settings").Kind() != event.Absent {
		list = setMember(list, "settings", event.NewObject(settings))
	}
	auth := membersOf(f.raw.Get("auth"))
	for _, s := range f.Auth {
		auth = setMember(auth, s.Field.Key, s.configValue())
	}
	if len(auth) > 0 {
		list = setMember(list, "auth", event.NewObject(auth))
	} else {
		list = setMember(list, "auth", event.Value{})
	}
	subs := make([]event.Value, len(f.Subscriptions))
	for i, s := range f.Subscriptions {
		subs[i] = s.subscriptionValue()
	}
	return event.NewObject(setMember(list, "subscriptions", event.NewArray(subs)))
}

// sourcesValue returns the sources of the instance, absent if it has none.
func (f *setupForm) sourcesValue() event.Value {
	var sources []event.Value
	for _, s := range f.Sources {
		if s.On {
			sources = append(sources, event.NewString(s.ID))
		}
	}
	if f.Added.SourceID != "" {
		sources = append(sources, event.NewString(f.Added.SourceID))
	}
	if len(sources) == 0 {
		return event.Value{}
	}
	return event.NewArray(sources)
}

// setDefaultTrueFlag sets a flag whose default is true. It adds the flag only if it is off, or if the list already has it.
func setDefaultTrueFlag(list []event.Member, key string, on bool) []event.Member {
	if on && !slices.ContainsFunc(list, func(m event.Member) bool { return m.Key == key }) {
		return list
	}
	return setMember(list, key, event.NewBool(on))
}

func (s *subscriptionInput) subscriptionValue() event.Value {
	list := membersOf(s.raw)
	text := func(key, v string) {
		if v == "" {
			list = setMember(list, key, event.Value{})
		} else {
			list = setMember(list, key, event.NewString(v))
		}
	}
	text("name", s.Name)
	if s.raw.Get("action").Kind() == event.Absent && s.raw.Get("partnerAction").Kind() != event.Absent {
		text("partnerAction", s.ActionKey)
	} else {
		text("action", s.ActionKey)
	}
	text("subscribe", s.Subscribe)
	if s.Action != nil && s.Action.SyncMode != nil {
		text("syncMode", s.SyncMode)
	}
	list = setDefaultTrueFlag(list, "enabled", s.Enabled)
	return event.NewObject(setMember(list, "mapping", s.mappingValue()))
}
