package delivery_test

import (
	"bytes"
	"log/slog"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/delivery"
)

// The events of a queue are delivered only to the target that they were accepted for.
func TestQueueRemembersItsTarget(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "queue")
	var log bytes.Buffer
	openAs := func(target string) error {
		q, err := delivery.Open(t.Context(), delivery.Config{Dir: dir, Target: target, Log: slog.New(slog.NewTextHandler(&log, nil))})
		if err == nil {
			err = q.Append(t.Context(), []delivery.NewEvent{{Source: "web", Key: "u1", Raw: []byte(`{"type":"track","event":"A","userId":"u1"}`)}})
			q.Close()
		}
		return err
	}
	require.NoError(t, openAs(""), "as an earlier version")
	require.NoError(t, openAs("live"))
	assert.Contains(t, log.String(), "because an earlier version created it")
	log.Reset()
	require.NoError(t, openAs("live"))
	require.NoError(t, openAs(""), "a command that delivers nothing opens any queue")
	assert.NotContains(t, log.String(), "earlier version")
	require.ErrorIs(t, openAs("sandbox"), delivery.ErrTargetMismatch)
	require.NoError(t, openAs("live"), "the mark stays")
}

func TestDirectoryInUse(t *testing.T) {
	dir := t.TempDir()
	assert.False(t, delivery.InUse(dir))
	unlock, err := delivery.Lock(dir)
	require.NoError(t, err)
	assert.True(t, delivery.InUse(dir))
	_, err = delivery.Lock(dir)
	require.ErrorIs(t, err, delivery.ErrInUse)
	unlock()
	assert.False(t, delivery.InUse(dir))
}
