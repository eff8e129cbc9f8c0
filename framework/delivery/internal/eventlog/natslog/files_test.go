package natslog

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog"
)

// TestFilesOfALog checks that files which the server has closed properly are trusted once, that damage is found, kept and repaired
// otherwise, and that stamps which cannot be read are an error.
func TestFilesOfALog(t *testing.T) {
	dir := t.TempDir()
	log := openLog(t, Config{Dir: dir})
	require.NoError(t, log.Prepare(t.Context(), []eventlog.StreamConfig{{Name: "EVENTS", Subjects: []string{"ev.>"}}}))
	for range 3 {
		_, err := log.Append(t.Context(), "EVENTS", []eventlog.Write{{Subject: "ev.x", Data: []byte("{}")}})
		require.NoError(t, err)
	}
	log.Close()
	path := filepath.Join(dir, "jetstream", "$G", "streams", "EVENTS", "msgs", "1.blk")
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	info, err := os.Stat(path)
	require.NoError(t, err)
	text[24] ^= 1
	require.NoError(t, os.WriteFile(path, text, 0o600))
	require.NoError(t, os.Chtimes(path, info.ModTime(), info.ModTime()))

	files := Files(dir)
	found, err := files.Salvage(t.Context())
	require.NoError(t, err)
	assert.Empty(t, found, "its size and time are those of the server")
	found, err = files.Check(t.Context(), 0)
	require.NoError(t, err)
	require.Len(t, found, 1, "a check reads all files")
	kept, reason := files.CopyDamaged(found[0])
	assert.Empty(t, reason)
	assert.FileExists(t, kept)
	found, err = files.Salvage(t.Context())
	require.NoError(t, err)
	require.Len(t, found, 1)
	assert.Equal(t, []any{"EVENTS", "1.blk", 1, uint64(1), uint64(1)}, []any{found[0].Stream, found[0].File, found[0].Lost, found[0].First, found[0].Last})
	assert.FileExists(t, found[0].CopyPath)
	found, err = files.Check(t.Context(), 0)
	require.NoError(t, err)
	assert.Empty(t, found)

	require.NoError(t, os.Mkdir(filepath.Join(dir, "stopped.json"), 0o700))
	_, err = files.Salvage(t.Context())
	require.Error(t, err)
}
