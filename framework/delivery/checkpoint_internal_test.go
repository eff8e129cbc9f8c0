package delivery

import (
	"context"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog"
)

// TestEachCheckpointIsSeenOnceWhileAllAreRewritten reads the checkpoints while their owners write them as fast as they can.
func TestEachCheckpointIsSeenOnceWhileAllAreRewritten(t *testing.T) {
	q, err := OpenTest(t, Config{Dir: t.TempDir()})
	require.NoError(t, err)
	defer q.Close()
	rewrite := func(ctx context.Context) error {
		for n := range q.partitions {
			if _, err := q.appendMessage(ctx, checkpointsStream, eventlog.Write{Subject: checkpointSubject("i", n), Data: []byte(`{}`)}); err != nil {
				return err
			}
		}
		return nil
	}
	require.NoError(t, rewrite(t.Context()))
	writing, stop := context.WithCancel(t.Context())
	var writers sync.WaitGroup
	defer writers.Wait()
	defer stop()
	for range 4 {
		writers.Go(func() {
			for rewrite(writing) == nil {
			}
		})
	}
	for range 30 {
		seen := map[int]int{}
		require.NoError(t, q.eachCheckpoint(t.Context(), allCheckpoints, func(c storedCheckpoint) error { seen[c.partition]++; return nil }))
		require.Len(t, seen, q.partitions)
		for n, times := range seen {
			assert.Equal(t, 1, times, "partition %d", n)
		}
	}
}
