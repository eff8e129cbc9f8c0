package erasure_test

import (
	"fmt"
	"testing"
	"time"

	natsserver "github.com/nats-io/nats-server/v2/server"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/delivery"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/server/erasure"
)

// TestClusterKeepsTheLogUntilItsRetention erases a user whose events are on servers of NATS elsewhere, whose files cannot be overwritten: that is
// listed, everything else is done, and the events are skipped.
func TestClusterKeepsTheLogUntilItsRetention(t *testing.T) {
	s, err := natsserver.NewServer(&natsserver.Options{Port: -1, JetStream: true, StoreDir: t.TempDir(), NoLog: true, NoSigs: true})
	require.NoError(t, err)
	s.Start()
	defer func() { s.Shutdown(); s.WaitForShutdown() }()
	require.True(t, s.ReadyForConnections(30*time.Second))
	w := newWorld(t)
	w.queue, err = delivery.Open(t.Context(), delivery.Config{URL: s.ClientURL(), Replicas: 1})
	require.NoError(t, err)
	defer w.queue.Close()
	w.fill("gone-1", "stays-1", "stays-2")
	id := w.request(gone)[0].ID
	require.NoError(t, erasure.RunOnce(t.Context(), w.config()))
	r := w.receipt(id)
	for _, s := range r.Steps {
		if s.Name == erasure.StepLog {
			assert.Contains(t, s.Error, "1 event in the log of the cluster")
			continue
		}
		assert.True(t, s.Done, fmt.Sprint(s))
	}
	watcher, err := erasure.NewWatcher(t.Context(), w.store, func() string { return key }, w.config().Log)
	require.NoError(t, err)
	defer watcher.Close()
	assert.True(t, watcher.HasEvent(event.MustParse(`{"userId":"gone-1","receivedAt":"2026-01-02T03:04:05.000Z"}`)))
}
