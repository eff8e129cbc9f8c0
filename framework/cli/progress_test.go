package cli

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestProgress(t *testing.T) {
	began := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	path := filepath.Join(t.TempDir(), "events.ndjson")
	require.NoError(t, os.WriteFile(path, []byte(strings.Repeat("x", 1000)), 0o600))
	file, err := os.Open(path)
	require.NoError(t, err)
	defer file.Close()
	p := newProgress(file, began)
	assert.Equal(t, "░░░░░░░░░░░░░░░░░░░░░░░░   0 % · 0 events", p.statusLine(0, began))
	_, err = io.ReadFull(p, make([]byte, 250))
	require.NoError(t, err)
	assert.Equal(t, "██████░░░░░░░░░░░░░░░░░░  25 % · 500 events · 250/s · 6s left", p.statusLine(500, began.Add(2*time.Second)))
	_, err = io.Copy(io.Discard, p)
	require.NoError(t, err)
	assert.Equal(t, "████████████████████████ 100 % · 2000 events · 500/s", p.statusLine(2000, began.Add(4*time.Second)))
	assert.Equal(t, "7 events · 7/s", newProgress(strings.NewReader("x"), began).statusLine(7, began.Add(time.Second)))
}
