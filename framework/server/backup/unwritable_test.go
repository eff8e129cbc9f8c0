package backup_test

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/delivery"
	"github.com/landfall-dev/landfall/framework/server/backup"
	"github.com/landfall-dev/landfall/framework/state"
)

// TestFilesThatCannotBeWritten checks that a backup is not called saved if one of its files cannot be written, although the manifest does not
// list it.
func TestFilesThatCannotBeWritten(t *testing.T) {
	var text bytes.Buffer
	w := tar.NewWriter(&text)
	require.NoError(t, w.WriteHeader(&tar.Header{Name: strings.Repeat("x", 300), Size: 1, Mode: 0o600, Format: tar.FormatPAX}))
	_, err := w.Write([]byte("x"))
	require.NoError(t, errors.Join(err, w.Flush()))
	dir := filepath.Join(t.TempDir(), "backup")
	_, err = backup.Save(io.MultiReader(&text, bytes.NewReader(filled(t, 1))), dir)
	assert.ErrorContains(t, err, "file name too long")
	assert.NoDirExists(t, dir)
	assert.Error(t, backup.Write(t.Context(), io.Discard, openedSource(t, filepath.Join(t.TempDir(), "none"))), "there is no directory for the copy of the ledger")
}

// openedSource opens an empty queue and ledger, with a directory for temporary files.
func openedSource(t *testing.T, dir string) backup.Source {
	t.Helper()
	q, err := delivery.Open(t.Context(), delivery.Config{Dir: filepath.Join(t.TempDir(), "queue")})
	require.NoError(t, err)
	t.Cleanup(q.Close)
	s, err := state.Open(t.Context(), t.TempDir())
	require.NoError(t, err)
	t.Cleanup(func() { _ = s.Close() })
	return backup.Source{Queue: q, Ledger: s, Dir: dir}
}
