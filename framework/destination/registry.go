package destination

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/landfall-dev/landfall/framework/fault"
)

// Registry holds destinations by slug and alias. It is immutable and safe for concurrent use.
type Registry struct {
	entries []Entry
	byName  map[string]int
}

// Entry is one destination of a Registry.
type Entry struct {
	Plugin     Plugin
	Definition *Definition
}

// NewRegistry loads plugins. The error holds every problem of every definition. Two destinations with the same slug or alias
// are refused.
func NewRegistry(plugins []Plugin) (*Registry, error) {
	r := &Registry{byName: map[string]int{}}
	var problems fault.Problems
	for _, p := range plugins {
		d, err := p.Load()
		if err != nil {
			problems = append(problems, fault.ProblemsOf(err)...)
			continue
		}
		r.entries = append(r.entries, Entry{p.Complete(d), d})
	}
	if len(problems) > 0 {
		return nil, problems
	}
	slices.SortFunc(r.entries, func(a, b Entry) int { return cmp.Compare(a.Definition.Slug, b.Definition.Slug) })
	for i, e := range r.entries {
		for _, name := range append([]string{e.Definition.Slug}, e.Definition.Aliases...) {
			if other, taken := r.byName[name]; taken {
				return nil, fmt.Errorf("two destinations have the name %q: %s and %s", name, r.entries[other].displayName(), e.displayName())
			}
			r.byName[name] = i
		}
	}
	return r, nil
}

// displayName returns the destination's name, and its file if it was read from one.
func (e Entry) displayName() string {
	if e.Plugin.File != "" {
		return fmt.Sprintf("%s (%s)", e.Definition.Name, e.Plugin.File)
	}
	return e.Definition.Name
}

// Find returns the destination with this slug or alias.
func (r *Registry) Find(name string) (Entry, bool) {
	i, ok := r.byName[name]
	if !ok {
		return Entry{}, false
	}
	return r.entries[i], true
}

// Entries returns all destinations, sorted by slug.
func (r *Registry) Entries() []Entry { return slices.Clone(r.entries) }

// Slugs returns the slugs and aliases of all destinations, sorted.
func (r *Registry) Slugs() []string {
	names := make([]string, 0, len(r.byName))
	for name := range r.byName {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
