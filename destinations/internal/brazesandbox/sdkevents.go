package brazesandbox

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
)

// sdkEvent is an event of an SDK. Its data depends on its name.
type sdkEvent struct {
	Name      string          `json:"name"`
	Time      float64         `json:"time"` // seconds since 1970
	SessionID string          `json:"session_id"`
	Data      json.RawMessage `json:"data"`
}

// sdkEventData has the members of all kinds of data.
type sdkEventData struct {
	EventName  string                     `json:"n"`
	Properties map[string]json.RawMessage `json:"p"`

	Key       string          `json:"key"` // of a custom attribute
	Value     json.RawMessage `json:"value"`
	Latitude  *float64        `json:"latitude"`
	Longitude *float64        `json:"longitude"`

	GroupID string `json:"group_id"`
	Status  string `json:"status"`

	AliasName  string `json:"a"`
	AliasLabel string `json:"l"`
}

// sdkPurchase is the data of a purchase, whose price is a text.
type sdkPurchase struct {
	ProductID string `json:"pid"`
	Currency  string `json:"c"`
	Price     string `json:"p"`
	Quantity  int    `json:"q"`
}

// otherSDKEvents are the names of events that change nothing here: sessions, errors, and what happens to messages, cards and banners.
var otherSDKEvents = []string{
	"ss", "se", "i", "ie", "iec", "pc", "ca", "ci", "cc", "cci", "ccic", "ccc", "ccd", "si", "sc", "sbc", "sfe", "ffi", "bi", "bc", "bd",
}

// storeSDKEvent stores an event, or returns what is wrong with it.
func (a *api) storeSDKEvent(one *user, raw json.RawMessage) string {
	var e sdkEvent
	switch err := json.Unmarshal(raw, &e); {
	case err != nil:
		return "the event has a field of the wrong type"
	case e.Time <= 0:
		return "time has to be a number of seconds"
	case e.SessionID == "":
		return "session_id is missing"
	case e.Name == "p":
		return one.storeSDKPurchase(e.Data)
	case slices.Contains(otherSDKEvents, e.Name):
		return ""
	}
	var d sdkEventData
	if err := json.Unmarshal(e.Data, &d); err != nil {
		return "the data of " + strconv.Quote(e.Name) + " has a field of the wrong type"
	}
	switch e.Name {
	case "ce":
		if d.EventName == "" {
			return "a custom event has no name"
		}
		one.Events = append(one.Events, d.EventName)[:min(len(one.Events)+1, maxHistory)]
	case "sgu":
		return one.setSubscription(d.GroupID, d.Status)
	case "uae":
		if d.AliasName == "" || d.AliasLabel == "" {
			return "an alias needs a name and a label"
		}
		a.users.addAlias(one, alias{d.AliasName, d.AliasLabel})
	case "lr", "lcaa":
		return one.setPlace(d)
	default:
		return one.changeSDKAttribute(e.Name, d)
	}
	return ""
}

func (u *user) storeSDKPurchase(raw json.RawMessage) string {
	var p sdkPurchase
	if err := json.Unmarshal(raw, &p); err != nil {
		return "the purchase has a field of the wrong type"
	}
	_, err := strconv.ParseFloat(p.Price, 64)
	switch {
	case p.ProductID == "" || len(p.ProductID) > maxName:
		return "the product of a purchase needs an id of at most 255 characters"
	case len(p.Currency) != 3:
		return "the currency of a purchase has to be a code of ISO 4217"
	case err != nil:
		return "the price of a purchase has to be a number, as a text"
	case p.Quantity < 1 || p.Quantity > 100:
		return "the quantity of a purchase has to be from 1 to 100"
	}
	u.Purchases = append(u.Purchases, p.ProductID)[:min(len(u.Purchases)+1, maxHistory)]
	return ""
}

// maxName is the maximum length of names and ids.
const maxName = 255

// subscription is the state of a user in a subscription group, as the REST API has it.
type subscription struct {
	GroupID string `json:"subscription_group_id"`
	State   string `json:"subscription_state"`
}

// setSubscription sets the state of the user in a subscription group.
func (u *user) setSubscription(group, state string) string {
	if group == "" || state != "subscribed" && state != "unsubscribed" {
		return "a subscription needs a group_id, and a status of subscribed or unsubscribed"
	}
	const key = "subscription_groups"
	var list []subscription
	_ = json.Unmarshal(u.Attributes[key], &list) // absent at first
	list = slices.DeleteFunc(list, func(s subscription) bool { return s.GroupID == group })
	return u.setAttribute(key, append(list, subscription{group, state}))
}

// setPlace sets the latest location, or a custom attribute that is a place.
func (u *user) setPlace(d sdkEventData) string {
	if d.Latitude == nil || d.Longitude == nil || max(*d.Latitude, -*d.Latitude) > 90 || max(*d.Longitude, -*d.Longitude) > 180 {
		return "a location needs a latitude from -90 to 90 and a longitude from -180 to 180"
	}
	key := d.Key
	if key == "" {
		key = "current_location"
	}
	return u.setAttribute(key, map[string]float64{"latitude": *d.Latitude, "longitude": *d.Longitude})
}

// changeSDKAttribute changes a custom attribute by an event.
func (u *user) changeSDKAttribute(name string, d sdkEventData) string {
	if !slices.Contains([]string{"set", "add", "rem", "inc", "ncam", "lcar"}, name) {
		return "the event " + strconv.Quote(name) + " is unknown"
	}
	if d.Key == "" || len(d.Key) > maxName {
		return "a custom attribute needs a key of at most 255 characters"
	}
	old := u.Attributes[d.Key]
	switch name {
	case "set":
		u.Attributes[d.Key] = d.Value
	case "lcar":
		delete(u.Attributes, d.Key)
	case "add", "rem":
		var list []string
		_ = json.Unmarshal(old, &list) // absent at first
		item := stringOf(d.Value)
		list = slices.DeleteFunc(list, func(s string) bool { return s == item })
		if name == "add" {
			list = append(list, item)
		}
		return u.setAttribute(d.Key, list)
	case "inc":
		var before, by float64
		if json.Unmarshal(d.Value, &by) != nil || old != nil && json.Unmarshal(old, &before) != nil {
			return "only numbers can be incremented"
		}
		return u.setAttribute(d.Key, before+by)
	case "ncam":
		var before, with map[string]json.RawMessage
		_ = json.Unmarshal(old, &before) // replaced if it is no object
		if json.Unmarshal(d.Value, &with) != nil {
			return u.setAttribute(d.Key, d.Value) // a list of objects replaces the old one here
		}
		if before == nil {
			before = map[string]json.RawMessage{}
		}
		maps.Copy(before, with)
		return u.setAttribute(d.Key, before)
	}
	return ""
}

func (u *user) setAttribute(key string, v any) string {
	raw, err := json.Marshal(v)
	if err != nil {
		return "the attribute is no JSON"
	}
	u.Attributes[key] = raw
	return ""
}
