package destinationtest

import (
	"time"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/internal/author/suite"
)

// FindWith is Find with one check, or with all if it is the last one, which looks for goroutines that the others left. It does not wait
// long for handlers that do not stop.
func FindWith(name string, p destination.Plugin, dir string) ([]Finding, error) {
	o := suite.Options{Only: []string{name}, EndsWithin: time.Second}
	if names := Names(); name == names[len(names)-1] {
		o.Only = nil
	}
	return find(p, dir, o)
}
