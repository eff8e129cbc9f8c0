package instances

import (
	"slices"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/runtime/config"
)

// Catalog holds where the destinations of a program come from.
type Catalog struct {
	Plugins     []destination.Plugin // of the program
	Definitions string               // a directory of definitions without code; "" for the one that the config names
}

// Load returns a Catalog whose plugins have been loaded, so that RegistryFor does not read their definitions again. Programs that call
// it more than once begin with Load. The error has every problem of every definition, except of plugins with names.
func (c Catalog) Load() (Catalog, error) {
	registry, err := destination.NewRegistry(c.Plugins)
	if err != nil {
		return c, err
	}
	c.Plugins = registry.Plugins()
	return c, nil
}

// RegistryFor returns the destinations of the program, and those in the directory of definitions that the Catalog or the config
// names. cfg may be nil.
func (c Catalog) RegistryFor(cfg *config.Config) (*destination.Registry, error) {
	dir := c.Definitions
	if dir == "" && cfg != nil && cfg.Definitions != "" {
		dir = cfg.ResolvePath(cfg.Definitions)
	}
	if dir == "" {
		return destination.NewRegistry(c.Plugins)
	}
	further, err := destination.FromDirectory(dir)
	if err != nil {
		return nil, err
	}
	return destination.NewRegistry(slices.Concat(c.Plugins, further))
}
