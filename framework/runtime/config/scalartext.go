package config

import (
	"regexp"
	"strconv"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/language/yamldoc"
)

// textKeys are the keys of sources, instances, subscriptions and audience syncs whose values are texts. If such a value looks like a number, it is read
// as the text in the file.
var textKeys = [...]string{"id", "writeKey", "name"}

// withScalarTexts returns the config with numbers at textKeys replaced by their text in the file.
func withScalarTexts(doc *yamldoc.Document, v event.Value) event.Value {
	return yamldoc.MapMembers(v, "", func(key, place string, m event.Value) event.Value {
		if key != "sources" && key != "destinations" && key != "audienceSyncs" {
			return m
		}
		return yamldoc.MapItems(m, place, func(place string, item event.Value) event.Value { return scalarTexts(doc, item, place) })
	})
}

func scalarTexts(doc *yamldoc.Document, v event.Value, place string) event.Value {
	return yamldoc.MapMembers(v, place, func(key, place string, m event.Value) event.Value {
		for _, known := range textKeys {
			if text, ok := doc.ScalarText(place); key == known && ok {
				return event.NewString(text)
			}
		}
		if key != "subscriptions" {
			return m
		}
		return yamldoc.MapItems(m, place, func(place string, item event.Value) event.Value { return scalarTexts(doc, item, place) })
	})
}

// Warnings returns a warning for each number that YAML reads differently from JSON, such as 010, which is 8, for each ${VARIABLE} that is
// not replaced, for each origin that no page has, and for each unknown key of a subscription, with their positions. Warnings about numbers in
// settings, audiences, mappings and hooks are among those of the instance's plan, since the fields decide whether they are numbers.
func (c *Config) Warnings() (warnings fault.Problems) {
	value := withScalarTexts(c.Document, c.Document.Value())
	c.warnNumbers(value, "", &warnings)
	warnVariables(value, "", &warnings)
	warnOrigins(c.Server.Origins, &warnings)
	warnSubscriptionKeys(value, &warnings)
	return c.Document.Locate(warnings)
}

// ofPlan matches the pointers of what a plan warns of.
var ofPlan = regexp.MustCompile(`^/destinations/[0-9]+/(settings|audiences|subscriptions/[0-9]+/(mapping|hooks))$`)

func (c *Config) warnNumbers(v event.Value, place string, warnings *fault.Problems) {
	if ofPlan.MatchString(place) {
		return
	}
	if v.Kind() == event.Number {
		if text := c.Document.NotationWarning(v, place); text != "" {
			warnings.Add(place, "%s", text)
		}
	}
	for key, m := range v.Members() {
		c.warnNumbers(m, place+fault.PointerKey(key), warnings)
	}
	for i, item := range v.Items() {
		c.warnNumbers(item, place+"/"+strconv.Itoa(i), warnings)
	}
}

// mapTexts returns a value with each of its texts replaced by the result of f, which also gets the text's JSON pointer.
func mapTexts(v event.Value, place string, f func(text, place string) string) event.Value {
	if v.Kind() == event.String {
		return event.NewString(f(v.Str(), place))
	}
	v = yamldoc.MapMembers(v, place, func(_, place string, m event.Value) event.Value { return mapTexts(m, place, f) })
	return yamldoc.MapItems(v, place, func(place string, item event.Value) event.Value { return mapTexts(item, place, f) })
}
