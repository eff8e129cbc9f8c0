// Package destinations is the list of all destinations. Each lives in a directory of its own, which is all that its
// author edits; the list is generated from those directories.
package destinations

//go:generate go run generate.go

import "github.com/landfall-dev/landfall/framework/destination"

// Registry loads all destinations and further ones. An error is a mistake in one of them.
func Registry(further ...destination.Plugin) (*destination.Registry, error) {
	return destination.NewRegistry(append(All(), further...))
}
