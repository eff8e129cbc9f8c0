package destination

import (
	"cmp"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"
)

// Named returns the plugin with the slug and the aliases of its definition. A [Registry] reads the definition of such a plugin when the
// destination is used first, so that a program starts without reading all of them, and reads it once. `landfall generate` writes
// the names into registry_gen.go.
func (p Plugin) Named(slug string, aliases ...string) Plugin {
	p.names = append([]string{slug}, aliases...)
	p.parse = sync.OnceValues(p.parseDefinition)
	return p
}

// parseDefinition reads the plugin's definition and checks it without the plugin.
func (p Plugin) parseDefinition() (*Definition, error) {
	text, err := fs.ReadFile(p.Definition, DefinitionFile)
	if err != nil {
		return nil, fmt.Errorf("reading the definition: %w", err)
	}
	d, err := ParseDefinition(cmp.Or(p.File, DefinitionFile), text)
	if err != nil {
		return nil, err
	}
	if p.names != nil && !slices.Equal(p.names, d.Names()) {
		return nil, d.problemAt("/slug", "and the aliases are %s, but registry_gen.go has %s: run landfall generate",
			strings.Join(d.Names(), ", "), strings.Join(p.names, ", "))
	}
	return d, nil
}

// loadEntry returns the plugin as a registry has it.
func (p Plugin) loadEntry() (Entry, error) {
	d, err := p.Load()
	if err != nil {
		return Entry{}, err
	}
	return Entry{p.Complete(d), d}, nil
}

// Names returns the slug and the aliases.
func (d *Definition) Names() []string { return append([]string{d.Slug}, d.Aliases...) }
