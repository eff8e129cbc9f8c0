package natslog

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
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

// TestChangesOfStoppedFiles checks when the files are trusted after the server was stopped for a change of them: if the change has
// succeeded. Without one, as after an error of the disk, they are checked.
func TestChangesOfStoppedFiles(t *testing.T) {
	dir, trusted := t.TempDir(), []bool{}
	e, err := startEmbedded(Config{Dir: dir, Logger: slog.New(slog.DiscardHandler), CheckFiles: func(context.Context) error {
		err := os.Remove(filepath.Join(dir, "stopped.json"))
		trusted = append(trusted, err == nil)
		return nil
	}})
	require.NoError(t, err)
	defer e.close()
	first := e.serverID()
	require.NoError(t, e.restartAfter(func() error {
		assert.Empty(t, e.serverID(), "no server uses the files")
		return nil
	}))
	assert.NotEqual(t, first, e.serverID())
	failed := errors.New("the disk is full")
	require.ErrorIs(t, e.restartAfter(func() error { return failed }), failed)
	assert.NotEmpty(t, e.serverID(), "it is started nevertheless")
	require.NoError(t, e.restart())
	assert.Equal(t, []bool{false, true, false, false}, trusted)
	e.close()
	assert.FileExists(t, filepath.Join(dir, "stopped.json"))
}

// TestFilesOfAServerThatHangsAreNotTrusted checks that files which a server may still be writing when the process ends are checked at the next start.
func TestFilesOfAServerThatHangsAreNotTrusted(t *testing.T) {
	e, err := startEmbedded(Config{Dir: t.TempDir(), Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	stopping := make(chan struct{})
	e.stopping, e.stopTimeout = stopping, time.Millisecond
	e.close()
	assert.NoFileExists(t, filepath.Join(e.dir, "stopped.json"))
	assert.NotEmpty(t, e.serverID())
	close(stopping)
	e.close()
	assert.Empty(t, e.serverID())
	assert.FileExists(t, filepath.Join(e.dir, "stopped.json"))
}
