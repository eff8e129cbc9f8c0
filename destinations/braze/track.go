package braze

import (
	"slices"
	"strings"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
)

// usersTrack accepts attributes, events and purchases (https://www.braze.com/docs/api/endpoints/user_data/post_user_track).
var usersTrack = endpoint{path: "/users/track", maxObjects: 75}

// attributesOf returns an attributes object: custom attributes, followed by the known ones.
func attributesOf(c call, p payload) (unit, error) {
	id, err := identityOf(p, true)
	if err != nil {
		return unit{}, err
	}
	groups := p.Get("subscription_groups").Len() > 0
	var members []event.Member
	for key, v := range p.Get("custom_attributes").Members() {
		if !isReservedAttribute(key) || key == subscriptionGroups && !groups {
			members = append(members, event.Member{Key: key, Value: v})
		}
	}
	members = append(members, id.withoutKey("email").withoutKey("phone")...)
	for _, key := range attributes {
		if key == subscriptionGroups && !groups {
			continue
		}
		value, err := convertAttribute(key, p.Get(key))
		if err != nil {
			return unit{}, err
		}
		members = append(members, event.Member{Key: key, Value: value})
	}
	members = append(members, event.Member{Key: "_update_existing_only", Value: updateOnly(p, c.mode)})
	return unit{objects: []object{newObject("attributes", members)}}, nil
}

// subscriptionGroups is sent as a known attribute only if it has groups; otherwise a custom attribute with this name is sent.
const subscriptionGroups = "subscription_groups"

// attributes lists the known attributes, which are fields of the action, in the order in which they are sent.
var attributes = []string{
	"country", "current_location", "date_of_first_session", "date_of_last_session", "dob", "email", "email_subscribe",
	"email_open_tracking_disabled", "email_click_tracking_disabled", "facebook", "first_name", "gender", "home_city", "image_url",
	"language", "last_name", "marked_email_as_spam_at", "phone", "push_subscribe", "push_tokens", "time_zone", "twitter", subscriptionGroups,
}

// isReservedAttribute reports whether a custom attribute is dropped because the action has a field for it, which may be empty on
// purpose.
func isReservedAttribute(key string) bool {
	switch key {
	case "external_id", "user_alias", "braze_id", "_update_existing_only", "enable_batching", "batch_size",
		"firstName", "lastName", "avatar":
		return true
	}
	return slices.Contains(attributes, key)
}

// convertAttribute returns a known attribute in Braze's format. null is kept, since it clears the attribute.
func convertAttribute(key string, v event.Value) (event.Value, error) {
	if !v.Exists() {
		return v, nil
	}
	switch key {
	case "date_of_first_session", "date_of_last_session", "marked_email_as_spam_at":
		return timeOf(key, v, isoTime)
	case "dob":
		return timeOf(key, v, "2006-01-02")
	case "gender":
		return genderOf(v), nil
	case "current_location":
		if v.WithoutHoles().Len() == 0 {
			return event.Value{}, nil
		}
	}
	return v, nil
}

// isoTime is ISO 8601 in UTC with milliseconds.
const isoTime = "2006-01-02T15:04:05.000Z"

// timeOf formats the time of a field. If it cannot be parsed, the payload fails with the name of the field.
func timeOf(field string, v event.Value, layout string) (event.Value, error) {
	at, err := event.ReadTime(v)
	if err != nil {
		return event.Value{}, fault.Invalid("%s: %v", field, err)
	}
	return event.NewString(at.Format(layout)), nil
}

// genderOf returns Braze's letter for a common word, and any other word unchanged.
func genderOf(v event.Value) event.Value {
	switch strings.ToLower(v.Str()) {
	case "man", "male", "m":
		return event.NewString("M")
	case "woman", "female", "w", "f":
		return event.NewString("F")
	case "other", "o":
		return event.NewString("O")
	case "not applicable", "n":
		return event.NewString("N")
	case "prefer not to say", "p":
		return event.NewString("P")
	}
	return v
}

// eventOf returns an event object.
func eventOf(c call, p payload) (unit, error) {
	id, err := identityOf(p, false)
	if err != nil {
		return unit{}, err
	}
	base, err := c.baseMembers(id, p)
	if err != nil {
		return unit{}, err
	}
	members := append(base,
		event.Member{Key: "name", Value: p.Get("name")},
		event.Member{Key: "properties", Value: p.Get("properties")},
		event.Member{Key: "_update_existing_only", Value: updateOnly(p, c.mode)})
	return unit{objects: []object{newObject("events", members)}}, nil
}

// baseMembers returns the members that events and purchases begin with.
func (c call) baseMembers(id identity, p payload) ([]event.Member, error) {
	at, err := timeOf("time", p.Get("time"), isoTime)
	if err != nil {
		return nil, err
	}
	members := slices.Clone(id)
	if c.settings.AppID != "" {
		members = append(members, event.Member{Key: "app_id", Value: event.NewString(c.settings.AppID)})
	}
	return append(members, event.Member{Key: "time", Value: at}), nil
}

// purchasesOf returns a purchase object for each product.
func purchasesOf(c call, p payload) (unit, error) {
	id, err := identityOf(p, false)
	if err != nil {
		return unit{}, err
	}
	u := unit{emptyReason: "no products to send"}
	base, err := c.baseMembers(id, p)
	if err != nil {
		return unit{}, err
	}
	base = append(base, event.Member{Key: "_update_existing_only", Value: updateOnly(p, c.mode)})
	for _, product := range p.Get("products").Items() {
		currency := product.Get("currency")
		if !currency.Exists() {
			currency = event.NewString("USD")
		}
		members := append(slices.Clip(base),
			event.Member{Key: "product_id", Value: product.Get("product_id")},
			event.Member{Key: "currency", Value: currency},
			event.Member{Key: "price", Value: product.Get("price")},
			event.Member{Key: "quantity", Value: product.Get("quantity")},
			event.Member{Key: "properties", Value: purchaseProperties(product, p.Get("properties"))})
		u.objects = append(u.objects, newObject("purchases", members))
	}
	return u, nil
}

// purchaseProperties returns the properties of the product, overridden by those of the event.
func purchaseProperties(product, properties event.Value) event.Value {
	var members []event.Member
	for key, v := range product.Members() {
		switch key {
		case "product_id", "currency", "price", "quantity":
			continue
		}
		if key == "products" || properties.Get(key).Kind() == event.Absent {
			members = append(members, event.Member{Key: key, Value: v})
		}
	}
	for key, v := range properties.Members() {
		if key != "products" {
			members = append(members, event.Member{Key: key, Value: v})
		}
	}
	return event.NewObject(members)
}
