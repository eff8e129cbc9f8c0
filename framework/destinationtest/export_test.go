package destinationtest

import (
	"slices"

	"github.com/landfall-dev/landfall/framework/destination"
)

// FindWith is Find with the one check of a name, and the one round it.
func FindWith(name string, p destination.Plugin, dir string) ([]Finding, error) {
	return find(p, dir, slices.DeleteFunc(checks(), func(c check) bool { return c.name != name && name != leftOver }))
}
