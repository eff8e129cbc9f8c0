package server

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/delivery"
)

// TestDamageHasMetrics checks that the metrics of damage are exported as zero before any damage.
func TestDamageHasMetrics(t *testing.T) {
	q, err := delivery.Open(t.Context(), delivery.Config{Dir: t.TempDir()})
	require.NoError(t, err)
	defer q.Close()
	registry := prometheus.NewRegistry()
	require.NoError(t, registry.Register(damageMetrics{&server{queue: q}}))
	list, err := registry.Gather()
	require.NoError(t, err)
	require.Len(t, list, 3)
	for _, family := range list {
		assert.Zero(t, family.GetMetric()[0].GetGauge().GetValue(), family.GetName())
	}
}
