package main

import (
	"github.com/landfall-dev/landfall/destinations"
	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/runtime/config"
)

// registry is all destinations: those of the program and those of --definitions.
func (s streams) registry() (*destination.Registry, error) {
	return registryOf(*s.definitions, s.plugins...)
}

// registryFor is the registry for a config, which may name a directory of definitions of its own; the config may be nil.
func registryFor(definitions string, cfg *config.Config, plugins ...destination.Plugin) (*destination.Registry, error) {
	if definitions == "" && cfg != nil && cfg.Definitions != "" {
		definitions = cfg.ResolvePath(cfg.Definitions)
	}
	return registryOf(definitions, plugins...)
}

func registryOf(definitions string, plugins ...destination.Plugin) (*destination.Registry, error) {
	if definitions == "" {
		return destinations.Registry(plugins...)
	}
	further, err := destination.FromDirectory(definitions)
	if err != nil {
		return nil, err
	}
	return destinations.Registry(append(further, plugins...)...)
}
