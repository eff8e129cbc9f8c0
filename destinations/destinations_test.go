package destinations_test

import (
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/destinations"
	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/destination/destinationtest"
)

// TestDestinations runs the checks of destinationtest on every destination.
func TestDestinations(t *testing.T) {
	for _, p := range destinations.All() {
		d, err := p.Load()
		require.NoError(t, err)
		t.Run(d.Slug, func(t *testing.T) { destinationtest.RunIn(t, p, d.Slug) })
	}
}

// loadRegistry loads the destinations once for all tests.
var loadRegistry = sync.OnceValues(func() (*destination.Registry, error) { return destinations.Registry() })

// sharedRegistry returns the registry of all destinations.
func sharedRegistry(t *testing.T) *destination.Registry {
	t.Helper()
	registry, err := loadRegistry()
	require.NoError(t, err)
	return registry
}

// sharedEntries returns all destinations, sorted by slug.
func sharedEntries(t *testing.T) []destination.Entry {
	t.Helper()
	entries, err := sharedRegistry(t).Entries()
	require.NoError(t, err)
	return entries
}
