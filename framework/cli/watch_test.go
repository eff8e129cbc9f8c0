package cli

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/destinations"
)

// sharedBuffer is output that is read while it is written.
type sharedBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *sharedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *sharedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// TestWatch changes files while test and suite run, and ends them.
func TestWatch(t *testing.T) {
	t.Chdir(t.TempDir())
	create := func(args ...string) {
		require.Equal(t, exitOK, executeCommand(t.Context(), args, streams{in: &bytes.Buffer{}, out: &bytes.Buffer{}, err: &bytes.Buffer{}, plugins: destinations.All()}))
	}
	create("new", "destination", "zorg", "--yaml")
	folder := filepath.Join("destinations", "zorg")
	file := filepath.Join(folder, "destination.yaml")
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	for _, c := range []struct {
		args  []string
		right string
		wrong string
	}{
		{[]string{"test", "--watch", "--definitions", "destinations", filepath.Join(folder, "testdata", "cases")}, "1 passed, 0 failed", "destination.yaml:1:9"},
		{[]string{"suite", "--watch", folder}, " passed, 0 failed", "FAIL zorg: the definition loads"},
	} {
		var out sharedBuffer
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan int)
		go func() {
			ended <- executeCommand(ctx, c.args, streams{in: &bytes.Buffer{}, out: &out, err: &out, plugins: destinations.All()})
		}()
		count := func(part string, times int) {
			require.Eventually(t, func() bool {
				return strings.Count(out.String(), part) >= times && strings.HasSuffix(out.String(), "waiting for changes; Ctrl-C ends\n")
			}, time.Minute, 20*time.Millisecond, "%s\n%s", part, &out)
		}
		count(c.right, 1)
		require.NoError(t, os.WriteFile(file, []byte("broken: ["), 0o644))
		count(c.wrong, 1)
		require.NoError(t, os.WriteFile(file, text, 0o644))
		count(c.right, 2)
		cancel()
		require.Equal(t, exitOK, <-ended)
	}
}
