package destination_test

import (
	"context"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/destination"
)

func TestOneHoldsALock(t *testing.T) {
	var locks destination.Locks
	var wait sync.WaitGroup
	n := 0 // guarded by the lock: the race detector sees it where that is broken
	for range 50 {
		wait.Go(func() {
			release, err := locks.Hold(context.Background(), "a")
			assert.NoError(t, err)
			n++
			release()
		})
	}
	wait.Wait()
	assert.Equal(t, 50, n)
}

func TestWaitingForALockEndsWithTheContext(t *testing.T) {
	var locks destination.Locks
	release, err := locks.Hold(t.Context(), "a")
	require.NoError(t, err)
	other, err := locks.Hold(t.Context(), "b")
	require.NoError(t, err, "another name is free")
	other()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = locks.Hold(ctx, "a")
	require.ErrorIs(t, err, context.Canceled)
	release()
	release, err = locks.Hold(t.Context(), "a")
	require.NoError(t, err)
	release()
}
