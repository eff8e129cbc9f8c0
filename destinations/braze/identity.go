package braze

import (
	"strings"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
)

// maxExternalID is how many bytes an external id may have.
const maxExternalID = 987

// identifiers are the fields that may name a user, with what people call them.
var identifiers = [...]struct{ key, label string }{
	{"external_id", "External User ID"}, {"user_alias", "User Alias Object"}, {"braze_id", "Braze User Identifier"}, {"email", "Email"}, {"phone", "Phone Number"},
}

// payload is a payload as its schema has passed it. Many actions share their fields, so that one reading serves them all.
type payload struct{ event.Value }

// Decode reads a value that has passed its schema.
func (p *payload) Decode(v event.Value) { p.Value = v }

// identity is what a payload says of whose it is: every identifier it has.
type identity []event.Member

// identityOf refuses a payload that names nobody. phone tells whether the action has that field.
func identityOf(p payload, phone bool) (identity, error) {
	known := identifiers[:]
	if !phone {
		known = known[:len(known)-1]
	}
	var id identity
	named := false
	for _, k := range known {
		v := p.Get(k.key)
		if k.key == "user_alias" {
			v = wholeAlias(v)
		}
		switch {
		case v.Kind() == event.Object || v.Str() != "":
			named = true
			id = append(id, event.Member{Key: k.key, Value: v})
		case v.Kind() == event.Null: // it names nobody, but goes along as the mapping has it
			id = append(id, event.Member{Key: k.key, Value: v})
		}
	}
	if !named {
		var labels []string
		for _, k := range known {
			labels = append(labels, k.label)
		}
		last := len(labels) - 1
		return nil, fault.Invalid("there is no identifier: %s and %s are all absent", strings.Join(labels[:last], ", "), labels[last])
	}
	return id, checkExternalID(p.Get("external_id").Str())
}

func checkExternalID(id string) error {
	if len(id) > maxExternalID {
		return fault.Invalid("External User ID should be at most %d bytes long but has %d", maxExternalID, len(id))
	}
	return nil
}

// wholeAlias is an alias that has both its parts, else absent.
func wholeAlias(v event.Value) event.Value {
	name, label := v.Get("alias_name"), v.Get("alias_label")
	if name.Str() == "" || label.Str() == "" {
		return event.Value{}
	}
	return event.NewObject([]event.Member{{Key: "alias_name", Value: name}, {Key: "alias_label", Value: label}})
}

// without is the identity without one identifier.
func (id identity) without(key string) identity {
	var rest identity
	for _, m := range id {
		if m.Key != key {
			rest = append(rest, m)
		}
	}
	return rest
}

// withoutNulls returns the identifiers that have a value.
func (id identity) withoutNulls() identity {
	var rest identity
	for _, m := range id {
		if m.Value.Exists() {
			rest = append(rest, m)
		}
	}
	return rest
}

// updateOnly is whether Braze must not create the user: as the sync mode says, else as the payload does.
func updateOnly(p payload, mode string) event.Value {
	if mode != "" {
		return event.NewBool(mode == "update")
	}
	return p.Get("_update_existing_only")
}
