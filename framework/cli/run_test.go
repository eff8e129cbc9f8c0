package cli

import (
	"bytes"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/destinations"
)

// TestRunCollectsLess checks that `landfall run` collects a small heap less often while it reads a file, and not afterwards.
func TestRunCollectsLess(t *testing.T) {
	t.Setenv("GOGC", "")
	defer debug.SetGCPercent(debug.SetGCPercent(100))
	file, err := os.Open("../../fixtures/braze-cohorts/audience.ndjson")
	require.NoError(t, err)
	defer file.Close()
	runtime.GC()
	in := &watchedReader{Reader: file}
	var out bytes.Buffer
	code := executeCommand(t.Context(), []string{"run", "--sandbox", "--allow-refused", "--config", "../../fixtures/braze-cohorts/landfall.yaml", "-"},
		streams{in: in, out: &out, err: &out, plugins: destinations.All()})
	require.Equal(t, exitOK, code, out.String())
	if in.live < 32<<20 { // of other tests; with more, a collection when the heap has doubled may be right
		assert.Greater(t, in.percent, uint64(100))
	}
	assert.EqualValues(t, 100, readMetrics("/gc/gogc:percent")[0])
}

// watchedReader notes GOGC and the live heap when it is read for the first time.
type watchedReader struct {
	io.Reader
	percent, live uint64
}

func (r *watchedReader) Read(p []byte) (int, error) {
	if r.percent == 0 {
		values := readMetrics("/gc/gogc:percent", "/gc/heap/live:bytes")
		r.percent, r.live = values[0], values[1]
	}
	return r.Reader.Read(p)
}

// readMetrics returns numbers of Go's runtime.
func readMetrics(names ...string) (values []uint64) {
	for _, name := range names {
		sample := []metrics.Sample{{Name: name}}
		metrics.Read(sample)
		values = append(values, sample[0].Value.Uint64())
	}
	return values
}
