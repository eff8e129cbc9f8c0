package textfile_test

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/internal/textfile"
)

// TestOpenFileRefusesSpecialFiles checks that nothing waits for a file that may never have content, also behind a link.
func TestOpenFileRefusesSpecialFiles(t *testing.T) {
	dir := t.TempDir()
	pipe, socket, link := filepath.Join(dir, "pipe"), filepath.Join(dir, "socket"), filepath.Join(dir, "link")
	require.NoError(t, syscall.Mkfifo(pipe, 0o600))
	listener, err := net.Listen("unix", socket)
	require.NoError(t, err)
	defer listener.Close()
	require.NoError(t, os.Symlink(pipe, link))
	for path, kind := range map[string]string{pipe: "a named pipe", link: "a named pipe", socket: "a socket", "/dev/zero": "a device"} {
		_, err := textfile.OpenFile(path)
		assert.EqualError(t, err, fmt.Sprintf("read %s: it is %s, not a regular file", path, kind))
		_, err = textfile.ReadFile(path)
		assert.EqualError(t, err, fmt.Sprintf("read %s: it is %s, not a regular file", path, kind))
	}
	_, err = textfile.OpenFile(filepath.Join(dir, "none"))
	assert.ErrorIs(t, err, os.ErrNotExist)
	assert.ErrorContains(t, err, "open ")
}

func TestOpenFileReadsOpenPipes(t *testing.T) {
	for _, directory := range []string{"/dev/fd", "/proc/self/fd", fmt.Sprintf("/proc/%d/fd", os.Getpid())} {
		r, w, err := os.Pipe()
		require.NoError(t, err)
		_, err = w.WriteString("text")
		require.NoError(t, err)
		require.NoError(t, w.Close())
		text, err := textfile.ReadFile(fmt.Sprintf("%s/%d", directory, r.Fd()))
		require.NoError(t, err, directory)
		assert.Equal(t, "text", string(text))
		require.NoError(t, r.Close())
	}
	f, err := textfile.OpenFile(os.DevNull)
	require.NoError(t, err)
	defer f.Close()
	text, err := io.ReadAll(f)
	require.NoError(t, err)
	assert.Empty(t, text)
}
