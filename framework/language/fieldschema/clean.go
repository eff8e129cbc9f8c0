package fieldschema

import "github.com/landfall-dev/landfall/framework/event"

// Clean drops from a payload what no field is for and what is empty, makes lists of lone values where a field is
// multiple, and takes the one element of a list where a field is a scalar. A payload that needs none of it is returned as it is.
func (s *Schema) Clean(payload event.Value) event.Value {
	return cleanObject(s.fields, payload, true, false)
}

// cleanObject cleans the members of an object; keepUnknown keeps the keys that no field is for.
func cleanObject(fields Fields, v event.Value, root, keepUnknown bool) event.Value {
	if v.Kind() != event.Object {
		return v
	}
	return rebuild(v, func(key string, m event.Value) event.Value {
		f := fields.Get(key)
		switch {
		case f != nil:
			return f.clean(m, root)
		case keepUnknown:
			return m
		}
		return event.Value{}
	})
}

// rebuild is an object with each member changed, those that become absent dropped. It is the object itself where nothing
// changes.
func rebuild(v event.Value, change func(string, event.Value) event.Value) event.Value {
	var members []event.Member // nil while nothing has changed
	before := 0
	for key, m := range v.Members() {
		now := change(key, m)
		if members == nil && now != m {
			members = firstMembers(v, before)
		}
		if members != nil && now.Kind() != event.Absent {
			members = append(members, event.Member{Key: key, Value: now})
		}
		before++
	}
	if members == nil {
		return v
	}
	return event.NewObject(members)
}

// firstMembers are the first n members of an object, with room for the rest.
func firstMembers(v event.Value, n int) []event.Member {
	members := make([]event.Member, 0, v.Len())
	for key, m := range v.Members() {
		if len(members) == n {
			break
		}
		members = append(members, event.Member{Key: key, Value: m})
	}
	return members
}

// clean is the value of the field, absent where it is dropped.
func (f *Field) clean(v event.Value, root bool) event.Value {
	v = f.unwrap(v)
	if f.drops(v, root) {
		return event.Value{}
	}
	if v.Kind() == event.Array {
		return f.cleanItems(v)
	}
	if f.hasProperties() {
		v = cleanObject(f.Properties, v, false, f.AdditionalProperties)
	}
	if f.Multiple {
		return event.NewArray([]event.Value{v})
	}
	return v
}

// unwrap is the one element of a list that stands where a scalar belongs, and any other value as it is.
func (f *Field) unwrap(v event.Value) event.Value {
	if !f.Multiple && f.Type != Object && v.Kind() == event.Array && v.Len() == 1 {
		return v.Index(0)
	}
	return v
}

// drops tells whether a value counts as nothing: null where that is not allowed, which it never is in a list or for one, "" where it cannot be a value, and "" in
// any field at the root, so that a required one is missing.
func (f *Field) drops(v event.Value, root bool) bool {
	switch v.Kind() {
	case event.Null:
		return !f.AllowNull || f.Multiple
	case event.String:
		return v.Str() == "" && (root || !f.Type.takesEmpty())
	}
	return false
}

// cleanItems cleans the items of a list; those that are dropped are gone.
func (f *Field) cleanItems(v event.Value) event.Value {
	kept, same := make([]event.Value, 0, v.Len()), true
	for _, item := range v.Items() {
		now := item
		switch {
		case f.drops(item, false):
			now = event.Value{}
		case f.hasProperties():
			now = cleanObject(f.Properties, item, false, f.AdditionalProperties)
		}
		same = same && item == now
		if now.Kind() != event.Absent {
			kept = append(kept, now)
		}
	}
	if same {
		return v
	}
	return event.NewArray(kept)
}
