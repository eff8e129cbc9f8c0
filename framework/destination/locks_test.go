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
			release, err := locks.Lock(context.Background(), "a")
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
	release, err := locks.Lock(t.Context(), "a")
	require.NoError(t, err)
	other, err := locks.Lock(t.Context(), "b")
	require.NoError(t, err, "another name is free")
	other()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = locks.Lock(ctx, "a")
	require.ErrorIs(t, err, context.Canceled)
	release()
	release, err = locks.Lock(t.Context(), "a")
	require.NoError(t, err)
	release()
}
