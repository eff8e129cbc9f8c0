package main

import (
	"github.com/landfall-dev/landfall/destinations"
	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/runtime/config"
)

// loadRegistry returns all destinations: the built-in ones and those of --definitions.
func (s streams) loadRegistry() (*destination.Registry, error) {
	return newRegistry(*s.definitions, s.plugins...)
}

// registryFor returns the registry for a config, which may name a directory of definitions. cfg may be nil.
func registryFor(definitions string, cfg *config.Config, plugins ...destination.Plugin) (*destination.Registry, error) {
	if definitions == "" && cfg != nil && cfg.Definitions != "" {
		definitions = cfg.ResolvePath(cfg.Definitions)
	}
	return newRegistry(definitions, plugins...)
}

func newRegistry(definitions string, plugins ...destination.Plugin) (*destination.Registry, error) {
	if definitions == "" {
		return destinations.Registry(plugins...)
	}
	further, err := destination.FromDirectory(definitions)
	if err != nil {
		return nil, err
	}
	return destinations.Registry(append(further, plugins...)...)
}
