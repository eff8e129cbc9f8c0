package yamldoc

import (
	"strconv"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
)

// MapMembers returns an object with each member replaced by the result of f, which gets its key and its pointer. place is the pointer of v. Other values
// than objects are returned unchanged.
func MapMembers(v event.Value, place string, f func(key, place string, m event.Value) event.Value) event.Value {
	if v.Kind() != event.Object {
		return v
	}
	var members []event.Member
	for key, m := range v.Members() {
		members = append(members, event.Member{Key: key, Value: f(key, place+fault.PointerKey(key), m)})
	}
	return event.NewObject(members)
}

// MapItems is MapMembers for an array.
func MapItems(v event.Value, place string, f func(place string, item event.Value) event.Value) event.Value {
	if v.Kind() != event.Array {
		return v
	}
	var items []event.Value
	for i, item := range v.Items() {
		items = append(items, f(place+"/"+strconv.Itoa(i), item))
	}
	return event.NewArray(items)
}
