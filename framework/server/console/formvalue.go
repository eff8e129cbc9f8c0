package console

import (
	"slices"

	"github.com/landfall-dev/landfall/framework/event"
)

// mapping is what the form maps; absent where that is nothing. What the file maps beside fields stays.
func (s *subInput) mapping() event.Value {
	if s.AsJSON {
		v, err := event.ParseString(s.JSON)
		if err != nil || v.Kind() != event.Object {
			return s.raw.Get("mapping")
		}
		return v
	}
	was := s.raw.Get("mapping")
	list := membersOf(was)
	for _, in := range s.all() {
		list = set(list, in.Field.Key, in.value)
	}
	if len(list) == 0 && was.Kind() == event.Absent {
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

// set puts a member where it was, or at the end; an absent value takes it away.
func set(list []event.Member, key string, v event.Value) []event.Member {
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

// value is the setting as the file gets it; absent where it says nothing.
func (s *settingInput) value() event.Value {
	switch {
	case s.Text == "" && s.Literal:
		return s.was
	case s.Text == "":
		return event.Value{}
	case s.IsSecret():
		if !reference.MatchString(s.Text) {
			s.Errors = append(s.Errors, problemView{Message: "Give the name of an environment variable, ${NAME}, or file:PATH. The secret itself is not written to the file."})
			return s.was
		}
		return event.NewString(s.Text)
	}
	return plainValue(s.Field, s.Text)
}

// instance is the form as the file gets it. What the form does not show stays as it was.
func (f *setupForm) instance() event.Value {
	list := membersOf(f.raw)
	list = set(list, "id", event.NewString(f.ID))
	if f.raw.Get("destination").Kind() == event.Absent {
		list = set(list, "destination", event.NewString(f.Definition.Slug))
	}
	list = setFlag(list, "enabled", f.Enabled)
	var sources []event.Value
	for _, s := range f.Sources {
		if s.On {
			sources = append(sources, event.NewString(s.ID))
		}
	}
	if f.Added.SourceID != "" {
		sources = append(sources, event.NewString(f.Added.SourceID))
	}
	if len(sources) > 0 {
		list = set(list, "sources", event.NewArray(sources))
	} else {
		list = set(list, "sources", event.Value{})
	}
	settings := membersOf(f.raw.Get("settings"))
	for _, s := range f.Settings {
		settings = set(settings, s.Field.Key, s.value())
	}
	if len(settings) > 0 || f.raw.Get("settings").Kind() != event.Absent {
		list = set(list, "settings", event.NewObject(settings))
	}
	auth := membersOf(f.raw.Get("auth"))
	for _, s := range f.Auth {
		auth = set(auth, s.Field.Key, s.value())
	}
	if len(auth) > 0 {
		list = set(list, "auth", event.NewObject(auth))
	} else {
		list = set(list, "auth", event.Value{})
	}
	subs := make([]event.Value, len(f.Subs))
	for i, s := range f.Subs {
		subs[i] = s.subscription()
	}
	return event.NewObject(set(list, "subscriptions", event.NewArray(subs)))
}

// setFlag writes a flag that is on by default where it is off, or was written before.
func setFlag(list []event.Member, key string, on bool) []event.Member {
	if on && !slices.ContainsFunc(list, func(m event.Member) bool { return m.Key == key }) {
		return list
	}
	return set(list, key, event.NewBool(on))
}

func (s *subInput) subscription() event.Value {
	list := membersOf(s.raw)
	text := func(key, v string) {
		if v == "" {
			list = set(list, key, event.Value{})
		} else {
			list = set(list, key, event.NewString(v))
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
	list = setFlag(list, "enabled", s.Enabled)
	return event.NewObject(set(list, "mapping", s.mapping()))
}
