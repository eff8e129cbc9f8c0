package brazesandbox

import (
	"encoding/json"
	"net/http"
	"slices"
)

// maxTracked is the maximum number of objects in a request, in all arrays together; maxObject is the maximum size of one in
// bytes.
const (
	maxTracked = 75
	maxObject  = 100_000
)

// objectError is the error of one object of a request.
type objectError struct {
	Type       string `json:"type"`
	InputArray string `json:"input_array"`
	Index      int    `json:"index"`
}

// tracked is an object of /users/track.
type tracked struct {
	userRef
	UpdateOnly *bool    `json:"_update_existing_only"`
	Name       string   `json:"name"`
	Time       string   `json:"time"`
	ProductID  string   `json:"product_id"`
	Currency   string   `json:"currency"`
	Price      *float64 `json:"price"`
}

// trackObjects stores attributes, events and purchases, in this order. An invalid object does not affect the others; if no
// object is valid, the request is refused.
func (a *api) trackObjects(_ *http.Request, raw json.RawMessage) response {
	var body map[string]json.RawMessage
	_ = json.Unmarshal(raw, &body) // it has been checked to be an object
	arrays := []string{"attributes", "events", "purchases"}
	lists, total := map[string][]json.RawMessage{}, 0
	for _, array := range arrays {
		var list []json.RawMessage
		if body[array] != nil && json.Unmarshal(body[array], &list) != nil {
			return messageResponse(http.StatusBadRequest, "'%s' must be an array of objects", array)
		}
		lists[array] = list
		total += len(list)
	}
	if total > maxTracked {
		return messageResponse(http.StatusBadRequest, "Max Input Length Exceeded")
	}
	wrong, result := []objectError{}, map[string]any{"message": "success"}
	for _, array := range arrays {
		done := 0
		for i, object := range lists[array] {
			if why := a.trackOne(array, object); why != "" {
				wrong = append(wrong, objectError{why, array, i})
				continue
			}
			done++
		}
		if done > 0 {
			result[array+"_processed"] = done
		}
	}
	if len(wrong) > 0 {
		result["errors"] = wrong
	}
	if len(wrong) == total { // also if it is empty
		result["message"] = "Valid data must be provided in the 'attributes', 'events', or 'purchases' fields."
		return response{http.StatusBadRequest, result}
	}
	return response{http.StatusCreated, result}
}

// trackOne stores one object, or returns what is wrong with it. Of the texts, only that of blocked users is documented.
func (a *api) trackOne(array string, raw json.RawMessage) string {
	var o tracked
	switch err := json.Unmarshal(raw, &o); {
	case len(raw) > maxObject:
		return "The object is too large"
	case err != nil:
		return "The object has a field of the wrong type"
	case !o.isNamed():
		return "'external_id', 'braze_id', 'user_alias', 'email' or 'phone' is required"
	case slices.Contains(a.config.BlockedUsers, o.ExternalID):
		return "Provided external_id is blacklisted and disallowed"
	case array != "attributes" && !isISOTime(o.Time):
		return "'time' must be a valid time in ISO 8601 format"
	case array == "events" && o.Name == "":
		return "'name' is required"
	case array == "purchases" && (o.ProductID == "" || o.Price == nil):
		return "'product_id' and 'price' are required"
	case array == "purchases" && len(o.Currency) != 3:
		return "'currency' must be a code of ISO 4217"
	}
	one := a.users.findUser(o.userRef)
	if one == nil && canCreate(o) {
		one = a.users.createUser(o.userRef)
	}
	if one == nil {
		return "" // no user to update: Braze ignores it silently
	}
	switch array {
	case "attributes":
		one.setAttributes(raw)
	case "events":
		one.Events = append(one.Events, o.Name)[:min(len(one.Events)+1, maxHistory)]
	case "purchases":
		one.Purchases = append(one.Purchases, o.ProductID)[:min(len(one.Purchases)+1, maxHistory)]
	}
	return ""
}

// canCreate reports whether an object creates its user. If only an alias identifies the user, _update_existing_only must be
// false.
func canCreate(o tracked) bool {
	if o.UpdateOnly != nil {
		return !*o.UpdateOnly
	}
	return o.ExternalID != "" || o.UserAlias == nil
}

// setAttributes sets attributes; null clears one.
func (u *user) setAttributes(raw json.RawMessage) {
	var fields map[string]json.RawMessage
	_ = json.Unmarshal(raw, &fields) // it has been decoded before
	for _, key := range []string{"external_id", "braze_id", "user_alias", "_update_existing_only"} {
		delete(fields, key)
	}
	u.setFields(fields)
}

// setFields sets attributes by their names; null clears one.
func (u *user) setFields(fields map[string]json.RawMessage) {
	for key, v := range fields {
		switch key {
		case "email":
			u.Email = stringOf(v)
		case "phone":
			u.Phone = stringOf(v)
		default:
			u.setCustom(key, v)
		}
	}
}

// setCustom sets an attribute; null clears it.
func (u *user) setCustom(key string, v json.RawMessage) {
	if string(v) == "null" {
		delete(u.Attributes, key)
	} else {
		u.Attributes[key] = v
	}
}
