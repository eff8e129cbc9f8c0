// Package destinations lists all destinations of Landfall. Each subdirectory contains one, and `go generate` updates the list.
//
// A program passes [All] to cli.Main, together with destinations of its own, or looks them up in a [Registry], which it passes to
// runtime.Load. The package has no state.
package destinations

//go:generate go run generate.go

import "github.com/landfall-dev/landfall/framework/destination"

// Registry loads all destinations and additional ones. The error contains the problems of their definitions.
func Registry(further ...destination.Plugin) (*destination.Registry, error) {
	return destination.NewRegistry(append(All(), further...))
}
