// Package identifier finds what identifies users in events, compares it, and hashes it where it must not be stored.
//
// [Of] returns the identifiers of an event. A [Key] turns an identifier into a hash that cannot be reversed without the key, and a [Set]
// holds such hashes, for example those of suppressed users. The package does no I/O. Keys and Sets are immutable and safe for concurrent
// use.
package identifier

import (
	"strings"

	"github.com/landfall-dev/landfall/framework/event"
)

// paths are the places in an event that identify its user, besides userId, anonymousId and context.externalIds.
var paths = [...][]string{
	{"previousId"}, {"context", "device", "id"}, {"context", "device", "advertisingId"}, {"context", "device", "token"},
	{"context", "traits", "email"}, {"traits", "email"}, {"properties", "email"}, {"context", "traits", "phone"}, {"traits", "phone"}, {"properties", "phone"},
	{"external_id"}, {"context", "traits", "external_id"}, {"traits", "external_id"}, {"properties", "external_id"},
}

// Of returns the texts that identify the user of an event.
func Of(v event.Value) []string {
	var list []string
	add := func(m event.Value) {
		if text := m.Text(); text != "" && (m.IsString() || m.Kind() == event.Number) {
			list = append(list, text)
		}
	}
	add(v.Get("userId"))
	add(v.Get("anonymousId"))
	for _, path := range paths {
		m := v
		for _, key := range path {
			m = m.Get(key)
		}
		add(m)
	}
	for _, id := range v.Get("context").Get("externalIds").Items() {
		add(id.Get("id"))
	}
	return list
}

// IsEmail reports whether an identifier looks like an e-mail address.
func IsEmail(id string) bool { return strings.Contains(id, "@") }

// Same compares identifiers. The case of e-mail addresses does not matter.
func Same(a, b string) bool {
	return a == b || IsEmail(a) && strings.EqualFold(a, b)
}

// eachText calls visit for the strings of a value, at any depth, until it returns false. It reports whether visit was called for all.
func eachText(v event.Value, visit func(text string) (more bool)) bool {
	switch v.Kind() {
	case event.String:
		return visit(v.Str())
	case event.Object:
		for _, m := range v.Members() {
			if !eachText(m, visit) {
				return false
			}
		}
	case event.Array:
		for _, m := range v.Items() {
			if !eachText(m, visit) {
				return false
			}
		}
	}
	return true
}

// HasText reports whether a value has an identifier as a string anywhere.
func HasText(v event.Value, id string) bool {
	return !eachText(v, func(text string) bool { return !Same(text, id) })
}
