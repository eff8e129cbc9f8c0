package natslog

import (
	"bytes"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestSlowStop restarts a server that stops too slowly: the log says what it is doing, and the next restart continues when it has stopped.
func TestSlowStop(t *testing.T) {
	var out bytes.Buffer
	e, err := startEmbedded(Config{Dir: t.TempDir(), Logger: slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelError}))})
	require.NoError(t, err)
	defer e.close()
	stops := make(chan struct{})
	e.stopping, e.stopTimeout = stops, time.Millisecond
	require.ErrorIs(t, e.restart(), errStopHangs)
	assert.Contains(t, out.String(), "startGoRoutine", "the stacks of the server")
	e.stopTimeout = time.Minute
	e.stop()
	close(stops)
	require.NoError(t, e.restart())
	conn, err := e.InProcessConn()
	require.NoError(t, err)
	require.NoError(t, conn.Close())
}
