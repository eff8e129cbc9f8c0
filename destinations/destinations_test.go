package destinations_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/destinations"
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
