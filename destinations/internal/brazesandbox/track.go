package brazesandbox

import (
	"encoding/json"
	"net/http"
	"slices"
)

// maxTracked is how many objects a request may have, all arrays together; maxObject how many bytes one may have.
const (
	maxTracked = 75
	maxObject  = 100_000
)

// objectError says what is wrong with one object of a request.
type objectError struct {
	Type       string `json:"type"`
	InputArray string `json:"input_array"`
	Index      int    `json:"index"`
}

// tracked is an object of /users/track.
type tracked struct {
	who
	UpdateOnly *bool    `json:"_update_existing_only"`
	Name       string   `json:"name"`
	Time       string   `json:"time"`
	ProductID  string   `json:"product_id"`
	Currency   string   `json:"currency"`
	Price      *float64 `json:"price"`
}

// track keeps attributes, events and purchases, in this order. What is wrong with one object does not stop the others; where
// nothing is right, the request is refused.
func (a *api) track(_ *http.Request, raw json.RawMessage) answer {
	var body map[string]json.RawMessage
	_ = json.Unmarshal(raw, &body) // an object, as has been seen
	arrays := []string{"attributes", "events", "purchases"}
	lists, total := map[string][]json.RawMessage{}, 0
	for _, array := range arrays {
		var list []json.RawMessage
		if body[array] != nil && json.Unmarshal(body[array], &list) != nil {
			return say(http.StatusBadRequest, "'%s' must be an array of objects", array)
		}
		lists[array] = list
		total += len(list)
	}
	if total > maxTracked {
		return say(http.StatusBadRequest, "Max Input Length Exceeded")
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
	if len(wrong) == total { // nothing at all included
		result["message"] = "Valid data must be provided in the 'attributes', 'events', or 'purchases' fields."
		return answer{http.StatusBadRequest, result}
	}
	return answer{http.StatusCreated, result}
}

// trackOne keeps one object, or says what is wrong with it. The texts are not documented, but for that of blocked users.
func (a *api) trackOne(array string, raw json.RawMessage) string {
	var o tracked
	switch err := json.Unmarshal(raw, &o); {
	case len(raw) > maxObject:
		return "The object is too large"
	case err != nil:
		return "The object has a field of the wrong type"
	case !o.named():
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
	one := a.users.find(o.who)
	if one == nil && mayCreate(o) {
		one = a.users.create(o.who)
	}
	if one == nil {
		return "" // nobody to update: passed over without a word
	}
	switch array {
	case "attributes":
		one.set(raw)
	case "events":
		one.Events = append(one.Events, o.Name)[:min(len(one.Events)+1, maxKept)]
	case "purchases":
		one.Purchases = append(one.Purchases, o.ProductID)[:min(len(one.Purchases)+1, maxKept)]
	}
	return ""
}

// mayCreate tells whether an object creates its user. Whom only an alias names must be asked for: _update_existing_only is
// false.
func mayCreate(o tracked) bool {
	if o.UpdateOnly != nil {
		return !*o.UpdateOnly
	}
	return o.ExternalID != "" || o.UserAlias == nil
}

// set keeps attributes; null clears one.
func (u *user) set(raw json.RawMessage) {
	var fields map[string]json.RawMessage
	_ = json.Unmarshal(raw, &fields) // has been read before
	for key, v := range fields {
		switch key {
		case "external_id", "braze_id", "user_alias", "_update_existing_only":
		case "email":
			u.Email = plain(v)
		case "phone":
			u.Phone = plain(v)
		default:
			if string(v) == "null" {
				delete(u.Attributes, key)
			} else {
				u.Attributes[key] = v
			}
		}
	}
}
