package fieldschema

import "github.com/landfall-dev/landfall/framework/event"

// Clean drops unknown keys and empty values from a payload, wraps single values of multiple fields in a list, and unwraps a list of
// one element in a scalar field. If nothing changes, it returns the payload itself.
func (s *Schema) Clean(payload event.Value) event.Value {
	return cleanObject(s.fields, payload, true, false)
}

// cleanObject cleans the members of an object. keepUnknown keeps keys without a field.
func cleanObject(fields Fields, v event.Value, root, keepUnknown bool) event.Value {
	return mapMembers(v, func(key string, m event.Value) event.Value {
		f := fields.Get(key)
		switch {
		case f != nil:
			return f.cleanValue(m, root)
		case keepUnknown:
			return m
		}
		return event.Value{}
	})
}

// mapMembers returns an object in which each member is replaced by the result of change; absent results are dropped. If nothing
// changes, or v is not an object, it returns v itself.
func mapMembers(v event.Value, change func(string, event.Value) event.Value) event.Value {
	var members []event.Member // nil until something changes
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

// firstMembers returns the first n members of an object, with capacity for the others.
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

// cleanValue returns the cleaned value of the field, or the absent Value if it is dropped.
func (f *Field) cleanValue(v event.Value, root bool) event.Value {
	v = f.unwrapSingle(v)
	if f.isDropped(v, root || f.Multiple) {
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

// unwrapSingle returns the only element of a list in a scalar field, and any other value unchanged.
func (f *Field) unwrapSingle(v event.Value) event.Value {
	if !f.Multiple && f.Type != Object && v.Kind() == event.Array && v.Len() == 1 {
		return v.Index(0)
	}
	return v
}

// isDropped reports whether a value counts as missing: null if the field does not allow it, which multiple fields never do; "" if
// the type does not allow it, or if dropText is set: at the root, so that a required field counts as missing, and in place of a list.
func (f *Field) isDropped(v event.Value, dropText bool) bool {
	switch v.Kind() {
	case event.Null:
		return !f.AllowNull || f.Multiple
	case event.String:
		return v.Str() == "" && (dropText || !f.entry().allowsNoText)
	}
	return false
}

// cleanItems cleans the items of a list and removes those that are dropped.
func (f *Field) cleanItems(v event.Value) event.Value {
	kept, same := make([]event.Value, 0, v.Len()), true
	for _, item := range v.Items() {
		now := item
		switch {
		case f.isDropped(item, false):
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
