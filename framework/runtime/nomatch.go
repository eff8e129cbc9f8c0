package runtime

import (
	"slices"
	"strings"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/language/fql"
	"github.com/landfall-dev/landfall/framework/runtime/config"
)

// eventTypes are the types that events have.
func eventTypes() []string {
	return []string{"track", "identify", "page", "screen", "group", "alias", "delete"}
}

// checkQuery warns of a query that matches no event: it requires two values of one field, or a type that no event has.
func (c *compiler) checkQuery(in config.Subscription, query *fql.Query) {
	place := in.Pointer + "/subscribe"
	if in.Subscribe == "" {
		place = in.Pointer
	}
	c.warnings.AddUnder(place, CheckQuerySpelling(query).Err())
	wanted := map[string][]string{}
	for _, key := range query.IndexKeys() {
		name := strings.Join(key.Path.Keys(), ".")
		values, again := wanted[name]
		if !again {
			wanted[name] = key.Values
			continue
		}
		both := slices.DeleteFunc(slices.Clone(values), func(v string) bool { return !slices.Contains(key.Values, v) })
		if len(both) == 0 {
			c.warnings.Add(place, "matches no event: it requires %s to be %s and also %s", name, quotedList(values), quotedList(key.Values))
			return
		}
		wanted[name] = both
	}
	types, asked := wanted["type"]
	if asked && !slices.ContainsFunc(types, func(v string) bool { return slices.Contains(eventTypes(), v) }) {
		c.warnings.Add(place, "matches no event: there is no type %s%s", quotedList(types), fault.DidYouMean(append(types, "")[0], eventTypes()))
		return
	}
	for name := range wanted {
		if of := typeWithMember(name); asked && of != "" && !slices.Contains(types, of) {
			c.warnings.Add(place, "matches no event: only events of type %q have %s, but it requires type to be %s", of, name, quotedList(types))
		}
	}
}

// quotedList is `"a" or "b"`.
func quotedList(values []string) string {
	quoted := make([]string, len(values))
	for i, v := range values {
		quoted[i] = event.NewString(v).JSON()
	}
	return strings.Join(quoted, " or ")
}
