package runtime

import (
	"strings"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/event"
)

// actionsSuffix ends the names of destinations in Segment, such as Braze Cloud Mode (Actions), which pages use.
const actionsSuffix = " (Actions)"

// integrationNames returns the names, besides the instance's id, by which an event may turn a destination on or off.
func integrationNames(d *destination.Definition) []string {
	return append([]string{d.Name, d.Name + actionsSuffix, d.Slug}, d.Aliases...)
}

// turnedOff reports whether an event's integrations object turns the plan's destination off. The instance's id takes
// precedence, then the destination's name, slug and aliases, then All. Case is ignored. If keys of the same precedence disagree, false
// wins. An object counts as true; other values are ignored.
func (p *Plan) turnedOff(integrations event.Value) bool {
	if integrations.Kind() != event.Object || integrations.Len() == 0 {
		return false
	}
	const byID, byName, byAll = 0, 1, 2
	var on, off [byAll + 1]bool
	for key, value := range integrations.Members() {
		level := byAll
		switch {
		case strings.EqualFold(key, p.id):
			level = byID
		case p.isNamed(key):
			level = byName
		case !strings.EqualFold(key, "All"):
			continue
		}
		switch value.Kind() {
		case event.False:
			off[level] = true
		case event.True:
			on[level] = true
		case event.Object:
			on[level] = on[level] || level != byAll // options belong to a destination, so All ignores them
		}
	}
	for level := range off {
		if off[level] || on[level] {
			return off[level]
		}
	}
	return false
}

func (p *Plan) isNamed(key string) bool {
	for _, name := range p.names {
		if strings.EqualFold(name, key) {
			return true
		}
	}
	return false
}
