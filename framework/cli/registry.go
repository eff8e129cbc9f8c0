package cli

import (
	"slices"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/runtime/config"
)

// catalog holds where a command's destinations come from.
type catalog struct {
	plugins     []destination.Plugin // of the program
	definitions string               // the directory of --definitions; "" for the config's
}

// catalog returns where the destinations of a command come from. The flags must have been parsed.
func (s streams) catalog() catalog { return catalog{s.plugins, *s.definitions} }

// registryFor returns the destinations of the program, and those in the directory of definitions that the command or the config
// names. cfg may be nil.
func (c catalog) registryFor(cfg *config.Config) (*destination.Registry, error) {
	dir := c.definitions
	if dir == "" && cfg != nil && cfg.Definitions != "" {
		dir = cfg.ResolvePath(cfg.Definitions)
	}
	if dir == "" {
		return destination.NewRegistry(c.plugins)
	}
	further, err := destination.FromDirectory(dir)
	if err != nil {
		return nil, err
	}
	return destination.NewRegistry(slices.Concat(c.plugins, further))
}
