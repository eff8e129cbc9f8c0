package runtime

import (
	"slices"
	"strings"
	"sync/atomic"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/event"
)

// actionsSuffix ends the names of destinations in Segment, such as Braze Cloud Mode (Actions), which pages use.
const actionsSuffix = " (Actions)"

// integrationSwitch decides whether the integrations object of events turns a plan's destination off.
type integrationSwitch struct {
	id    string   // of the instance
	names []string // of the destination
	path  event.Path
	last  atomic.Pointer[integrationsResult]
}

// integrationsResult is what the integrations object of an event said. It is used again if the next event has the same.
type integrationsResult struct {
	text string // the object as JSON
	off  bool
}

// maxRemembered is the maximum length of an integrations object that is remembered.
const maxRemembered = 1024

func newIntegrationSwitch(id string, d *destination.Definition) *integrationSwitch {
	names := slices.Concat([]string{d.Name, d.Name + actionsSuffix, d.Slug}, d.Aliases, d.IntegrationNames)
	return &integrationSwitch{id: id, names: names, path: event.PathOf("integrations")}
}

// turnsOff reports whether an event's integrations object turns the plan's destination off. The instance's id takes
// precedence, then the destination's names, slug and aliases, then All. Case is ignored. If keys of the same precedence disagree, false
// wins. An object counts as true; other values are ignored.
func (s *integrationSwitch) turnsOff(e event.Value) bool {
	integrations := s.path.Read(e)
	text := integrations.Raw()
	if last := s.last.Load(); last != nil && text != "" && last.text == text {
		return last.off
	}
	off := s.read(integrations)
	if text != "" && len(text) <= maxRemembered {
		s.last.Store(&integrationsResult{strings.Clone(text), off})
	}
	return off
}

// read is turnsOff without the memory of the previous event.
func (s *integrationSwitch) read(integrations event.Value) bool {
	const byID, byName, byAll = 0, 1, 2
	var on, off [byAll + 1]bool
	for key, value := range integrations.Members() {
		level := byAll
		switch {
		case strings.EqualFold(key, s.id):
			level = byID
		case s.isNamed(key):
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

func (s *integrationSwitch) isNamed(key string) bool {
	for _, name := range s.names {
		if strings.EqualFold(name, key) {
			return true
		}
	}
	return false
}
