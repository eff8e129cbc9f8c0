package braze

import (
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
)

// usersAlias adds aliases (https://www.braze.com/docs/api/endpoints/user_data/post_user_alias). usersIdentify gives an external
// id to users with an alias or an email address (https://www.braze.com/docs/api/endpoints/user_data/post_user_identify).
var (
	usersAlias    = endpoint{path: "/users/alias/new", maxObjects: 50}
	usersIdentify = endpoint{path: "/users/identify", maxObjects: 50}
)

// aliasOf returns an alias to add. A request may contain an alias only once, since the order of two is undefined.
func aliasOf(_ call, p payload) (unit, error) {
	external := p.Get("external_id")
	if external.Str() == "" {
		external = event.Value{}
	}
	if err := checkExternalID(external.Str()); err != nil {
		return unit{}, err
	}
	added := newObject("user_aliases", []event.Member{
		{Key: "external_id", Value: external}, {Key: "alias_name", Value: p.Get("alias_name")}, {Key: "alias_label", Value: p.Get("alias_label")},
	})
	u := unit{objects: []object{added}, names: []string{aliasName(p.Value)}}
	if external.Exists() {
		u.names = append(u.names, "external_id "+external.Str())
	}
	return u, nil
}

// aliasName returns a unique name of an alias.
func aliasName(v event.Value) string {
	return "alias " + v.Get("alias_label").JSON() + v.Get("alias_name").JSON()
}

// identificationOf returns the objects that identify a user by an alias, an email address, or both.
func identificationOf(_ call, p payload) (unit, error) {
	external := p.Get("external_id")
	if err := checkExternalID(external.Str()); err != nil {
		return unit{}, err
	}
	u := unit{names: []string{"external_id " + external.Str()}}
	if behavior := p.Get("merge_behavior"); behavior.Exists() {
		u.extra = []event.Member{{Key: "merge_behavior", Value: behavior}}
	}
	if alias := wholeAlias(p.Get("user_alias")); alias.Exists() {
		u.names = append(u.names, aliasName(alias))
		u.objects = append(u.objects, newObject("aliases_to_identify", []event.Member{
			{Key: "external_id", Value: external}, {Key: "user_alias", Value: alias},
		}))
	}
	if email := p.Get("email_to_identify"); email.Str() != "" {
		order := prioritizationOf(p)
		if order.Len() == 0 {
			return unit{}, fault.Invalid("Prioritization is required if a user is identified by Email to Identify").Because(fault.CauseIncomplete)
		}
		u.names = append(u.names, "email "+email.Str())
		u.objects = append(u.objects, newObject("emails_to_identify", []event.Member{
			{Key: "external_id", Value: external}, {Key: "email", Value: email}, {Key: "prioritization", Value: order},
		}))
	}
	if len(u.objects) == 0 {
		return unit{}, fault.Invalid("no user to identify: User Alias Object and Email to Identify are both absent").Because(fault.CauseNoIdentifier)
	}
	return u, nil
}

// prioritizationOf returns the prioritization list for Braze; it may be empty.
func prioritizationOf(p payload) event.Value {
	var items []event.Value
	for _, key := range []string{"first_priority", "second_priority"} {
		if v := p.Get("prioritization").Get(key); v.Str() != "" {
			items = append(items, v)
		}
	}
	return event.NewArray(items)
}
