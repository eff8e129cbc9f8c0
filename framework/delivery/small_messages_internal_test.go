package delivery

import (
	"bytes"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog/memlog"
)

// TestSmallMessagesAreReported checks that a queue on servers which do not accept the largest pages says so when it is opened.
func TestSmallMessagesAreReported(t *testing.T) {
	for _, c := range []struct {
		most   int64
		shared bool
		warns  bool
	}{{256 << 10, true, true}, {minMessage - 1, true, true}, {minMessage, true, false}, {0, true, false}, {256 << 10, false, false}} {
		var text bytes.Buffer
		store := memlog.New(memlog.Options{MaxMessage: c.most, Shared: c.shared})
		q, err := Open(t.Context(), Config{Dir: t.TempDir(), Log: slog.New(slog.NewTextHandler(&text, nil))}.On(store.Connect()))
		require.NoError(t, err)
		q.Close()
		assert.Equal(t, c.warns, bytes.Contains(text.Bytes(), []byte("set max_payload to 1MB")), "%+v %s", c, text.String())
	}
}
