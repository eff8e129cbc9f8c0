// Package destinations is the registry of all destinations. Each has a directory of its own; go generate makes the list from
// these directories.
package destinations

//go:generate go run generate.go

import "github.com/landfall-dev/landfall/framework/destination"

// Registry loads all destinations and additional ones. The error holds the problems of their definitions.
func Registry(further ...destination.Plugin) (*destination.Registry, error) {
	return destination.NewRegistry(append(All(), further...))
}
