package destination

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"sync"

	"github.com/landfall-dev/landfall/framework/fault"
)

// ErrBroken is the error of Find for a name that a definition with mistakes has, or may have.
var ErrBroken = errors.New("the definition has mistakes")

// ErrUnknown is the error of Find for a name that no destination has.
var ErrUnknown = errors.New("there is no destination")

// Registry holds destinations by slug and alias. It is immutable and safe for concurrent use.
type Registry struct {
	destinations []registered // sorted by slug
	byName       map[string]int
	broken       []Plugin // whose definitions have mistakes; none in a registry of NewRegistry
}

// registered is a destination of a Registry.
type registered struct {
	plugin Plugin
	names  []string // its slug and aliases
	load   func() (Entry, error)
}

// Entry is one destination of a Registry.
type Entry struct {
	Plugin     Plugin
	Definition *Definition
}

// NewRegistry loads plugins, except those with names (see [Plugin.Named]), which are loaded when they are used first. The error holds every
// problem of every loaded definition. Two destinations with the same slug or alias are refused, but a directory with code in Go is left out
// if a plugin before it has its name: the program was built with that code.
func NewRegistry(plugins []Plugin) (*Registry, error) {
	r, err := ReadRegistry(plugins)
	if err != nil {
		return nil, err
	}
	return r, nil
}

// ReadRegistry is NewRegistry for checks: with an error for mistakes in definitions, it also returns the registry of the other destinations.
func ReadRegistry(plugins []Plugin) (*Registry, error) {
	r := &Registry{byName: map[string]int{}}
	known := map[string]bool{}
	var problems fault.Problems
	for _, p := range plugins {
		if p.hasCode() && known[nameOfFolder(filepath.Dir(p.File))] {
			continue
		}
		d := registered{plugin: p, names: p.names, load: sync.OnceValues(p.loadEntry)}
		if d.names == nil {
			entry, err := d.load()
			if err != nil {
				problems = append(problems, fault.ProblemsOf(err)...)
				r.broken = append(r.broken, p)
				continue
			}
			d.names = entry.Definition.Names()
		}
		for _, name := range d.names {
			known[name] = true
		}
		r.destinations = append(r.destinations, d)
	}
	slices.SortFunc(r.destinations, func(a, b registered) int { return cmp.Compare(a.names[0], b.names[0]) })
	for i, d := range r.destinations {
		for _, name := range d.names {
			if other, taken := r.byName[name]; taken {
				return nil, fmt.Errorf("two destinations have the name %q: %s and %s", name, r.destinations[other].displayName(), d.displayName())
			}
			r.byName[name] = i
		}
	}
	return r, problems.Err()
}

// displayName returns the destination's name, and its file if it was read from one.
func (d registered) displayName() string {
	name := d.names[0]
	if entry, err := d.load(); err == nil {
		name = entry.Definition.Name
	}
	if d.plugin.File != "" {
		return fmt.Sprintf("%s (%s)", name, d.plugin.File)
	}
	return name
}

// Has reports whether a destination has this slug or alias.
func (r *Registry) Has(name string) bool {
	_, ok := r.byName[name]
	return ok
}

// Find returns the destination with this slug or alias. The error is ErrUnknown with a similar name, or the problems of the definition.
func (r *Registry) Find(name string) (Entry, error) {
	i, ok := r.byName[name]
	switch {
	case !ok && slices.ContainsFunc(r.broken, func(p Plugin) bool { return p.mayHaveName(name) }):
		return Entry{}, fmt.Errorf("%w: that of %s", ErrBroken, name)
	case !ok:
		return Entry{}, fmt.Errorf("%w %q%s", ErrUnknown, name, r.hintFor(name))
	}
	return r.destinations[i].load()
}

// mayHaveName reports whether a definition that cannot be used may be that of a name: its folder has it, or it contains the name.
func (p Plugin) mayHaveName(name string) bool {
	text, err := fs.ReadFile(p.Definition, DefinitionFile)
	return p.File != "" && nameOfFolder(filepath.Dir(p.File)) == name || err != nil || bytes.Contains(text, []byte(name))
}

// hintFor says which destination an unknown name was meant to be, or where unknown destinations can come from.
func (r *Registry) hintFor(name string) string {
	hint := fault.DidYouMean(name, r.allNames())
	if hint == "" && !slices.ContainsFunc(r.destinations, func(d registered) bool { return d.plugin.File != "" }) {
		return ": landfall list shows all; those without code are in a directory that --definitions or the config's definitions names"
	}
	return hint
}

// Entries returns all destinations, sorted by slug. The error holds every problem of every definition.
func (r *Registry) Entries() ([]Entry, error) {
	var problems fault.Problems
	entries := make([]Entry, len(r.destinations))
	for i, d := range r.destinations {
		entry, err := d.load()
		problems = append(problems, fault.ProblemsOf(err)...)
		entries[i] = entry
	}
	if len(problems) > 0 {
		return nil, problems
	}
	return entries, nil
}

// Plugins returns the plugins of the registry, sorted by slug. Another registry of them does not read the definitions again.
func (r *Registry) Plugins() []Plugin {
	plugins := make([]Plugin, len(r.destinations))
	for i, d := range r.destinations {
		plugins[i] = d.plugin
		if d.plugin.names != nil {
			continue
		}
		if entry, err := d.load(); err == nil {
			plugins[i] = entry.Plugin
		}
	}
	return plugins
}

// allNames returns the slugs and aliases of all destinations, sorted.
func (r *Registry) allNames() []string {
	names := make([]string, 0, len(r.byName))
	for name := range r.byName {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
