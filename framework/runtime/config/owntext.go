package config

import (
	"strconv"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/language/yamldoc"
)

// textKeys are the keys of sources, instances and subscriptions whose values are texts: one that looks like a number is its own text.
var textKeys = [...]string{"id", "writeKey", "name"}

// withOwnTexts returns the config with the texts of scalars that are read as numbers where the config wants texts.
func withOwnTexts(doc *yamldoc.Document, v event.Value) event.Value {
	return eachMember(v, "", func(key, place string, m event.Value) event.Value {
		if key != "sources" && key != "destinations" {
			return m
		}
		return eachItem(m, place, func(place string, item event.Value) event.Value { return ownTexts(doc, item, place) })
	})
}

func ownTexts(doc *yamldoc.Document, v event.Value, place string) event.Value {
	return eachMember(v, place, func(key, place string, m event.Value) event.Value {
		for _, known := range textKeys {
			if text, ok := doc.ScalarText(place); key == known && ok {
				return event.NewString(text)
			}
		}
		if key != "subscriptions" {
			return m
		}
		return eachItem(m, place, func(place string, item event.Value) event.Value { return ownTexts(doc, item, place) })
	})
}

// eachMember returns an object with each member replaced by what f makes of it; any other value as it is.
func eachMember(v event.Value, place string, f func(key, place string, m event.Value) event.Value) event.Value {
	if v.Kind() != event.Object {
		return v
	}
	var members []event.Member
	for key, m := range v.Members() {
		members = append(members, event.Member{Key: key, Value: f(key, place+fault.PointerKey(key), m)})
	}
	return event.NewObject(members)
}

// eachItem is eachMember for an array.
func eachItem(v event.Value, place string, f func(place string, item event.Value) event.Value) event.Value {
	if v.Kind() != event.Array {
		return v
	}
	var items []event.Value
	for i, item := range v.Items() {
		items = append(items, f(place+"/"+strconv.Itoa(i), item))
	}
	return event.NewArray(items)
}
