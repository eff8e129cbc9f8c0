package destinationtest

import (
	"slices"
	"time"

	"github.com/landfall-dev/landfall/framework/destination"
)

// FindWith is Find with one check and the leak check. It does not wait long for handlers that do not stop.
func FindWith(name string, p destination.Plugin, dir string) ([]Finding, error) {
	s, err := newSubject(p, dir)
	if err != nil {
		return nil, err
	}
	s.endsWithin = time.Second
	return s.runChecks(slices.DeleteFunc(allChecks(), func(c check) bool { return c.name != name && name != leftoverCheck }))
}
