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
	return c.registryFor(cfg, destination.NewRegistry)
}

// ReadRegistryFor is RegistryFor for checks: it also returns the registry of the other destinations if some definitions cannot be read or have
// mistakes.
func (c Catalog) ReadRegistryFor(cfg *config.Config) (*destination.Registry, error) {
	return c.registryFor(cfg, destination.ReadRegistry)
}

func (c Catalog) registryFor(cfg *config.Config, registryOf func([]destination.Plugin) (*destination.Registry, error)) (*destination.Registry, error) {
	dir := c.Definitions
	if dir == "" && cfg != nil && cfg.Definitions != "" {
		dir = cfg.ResolvePath(cfg.Definitions)
	}
	if dir == "" {
		return registryOf(c.Plugins)
	}
	further, err := destination.FromDirectory(dir)
	if err != nil {
		registry, _ := registryOf(append(slices.Clone(c.Plugins), destination.InFolder(dir))) // it may be that of any unknown name
		return registry, err
	}
	return registryOf(slices.Concat(c.Plugins, further))
}
