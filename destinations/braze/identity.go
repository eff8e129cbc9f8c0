package braze

import (
	"strings"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
)

// maxExternalID is the maximum size of an external id in bytes.
const maxExternalID = 987

// identifiers lists the fields that identify a user, with their labels.
var identifiers = [...]struct{ key, label string }{
	{"external_id", "External User ID"}, {"user_alias", "User Alias Object"}, {"braze_id", "Braze User Identifier"}, {"email", "Email"}, {"phone", "Phone Number"},
}

// payload is a payload that has passed its schema. Many actions share their fields, so one type serves them all.
type payload struct{ event.Value }

// Decode sets the payload to a value that has passed its schema.
func (p *payload) Decode(v event.Value) { p.Value = v }

// identity is all identifiers of a payload.
type identity []event.Member

// identityOf returns the identifiers of a payload, and refuses a payload without any. phone reports whether the action has the
// phone field.
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
		case v.Kind() == event.Null: // it identifies no user, but is sent as mapped
			id = append(id, event.Member{Key: k.key, Value: v})
		}
	}
	if !named {
		var labels []string
		for _, k := range known {
			labels = append(labels, k.label)
		}
		last := len(labels) - 1
		return nil, fault.Invalid("no identifier: %s and %s are all absent", strings.Join(labels[:last], ", "), labels[last]).Because(fault.CauseNoIdentifier)
	}
	return id, checkExternalID(p.Get("external_id").Str())
}

func checkExternalID(id string) error {
	if len(id) > maxExternalID {
		return fault.Invalid("External User ID should be at most %d bytes long but has %d", maxExternalID, len(id))
	}
	return nil
}

// wholeAlias returns an alias that has both parts; otherwise absent.
func wholeAlias(v event.Value) event.Value {
	name, label := v.Get("alias_name"), v.Get("alias_label")
	if name.Str() == "" || label.Str() == "" {
		return event.Value{}
	}
	return event.NewObject([]event.Member{{Key: "alias_name", Value: name}, {Key: "alias_label", Value: label}})
}

// withoutKey returns the identity without one identifier.
func (id identity) withoutKey(key string) identity {
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

// updateOnly returns whether Braze must not create the user: as the sync mode says, otherwise as the payload says.
func updateOnly(p payload, mode string) event.Value {
	if mode != "" {
		return event.NewBool(mode == "update")
	}
	return p.Get("_update_existing_only")
}
