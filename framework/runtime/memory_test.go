package runtime_test

import (
	"context"
	"fmt"
	"io"
	"os"
	goruntime "runtime"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/files/stream"
	"github.com/landfall-dev/landfall/framework/runtime"
	"github.com/landfall-dev/landfall/internal/testsize"
)

// eventsVariable sets the number of events of TestMemoryDoesNotGrow; the default is 200,000.
const eventsVariable = "LANDFALL_MEMORY_EVENTS"

// endless is a reader that repeats a thousand events, and measures the heap while it is read.
type endless struct {
	lines []byte // of a thousand
	left  int    // how many thousands
	rest  []byte
	look  func(left int)
}

func (e *endless) Read(into []byte) (int, error) {
	if len(e.rest) == 0 {
		if e.left == 0 {
			return 0, io.EOF
		}
		e.look(e.left)
		e.left--
		e.rest = e.lines
	}
	n := copy(into, e.rest)
	e.rest = e.rest[n:]
	return n, nil
}

// TestMemoryDoesNotGrow checks that events are not retained after their verdicts: the heap after the last tenth of many events is
// as large as after the first.
func TestMemoryDoesNotGrow(t *testing.T) {
	events := testsize.Of(200_000, 20_000)
	if text := os.Getenv(eventsVariable); text != "" {
		var err error
		events, err = strconv.Atoi(text)
		require.True(t, err == nil && events >= 10*batchSize, "%s should be a whole number of %d or more, but is %q", eventsVariable, 10*batchSize, text)
	}
	thousands := events / batchSize
	heap := func() int {
		var m goruntime.MemStats
		goruntime.GC()
		goruntime.ReadMemStats(&m)
		return int(m.HeapAlloc)
	}
	first, last := 0, 0
	input := &endless{left: thousands, look: func(left int) {
		if left == thousands*9/10 {
			first = heap()
		}
		if left == 1 {
			last = heap()
		}
	}}
	for i := range batchSize {
		input.lines = fmt.Appendf(input.lines, "%s\n", kilobyte(i))
	}
	plan := newPlan(t, &taken{}, &forgetful{destination.NewMemoryMembers()})
	var summary stream.Summary
	each := func(e stream.Event) error { summary.Add(e); return nil }
	require.NoError(t, stream.New(stream.Config{Plans: []*runtime.Plan{plan}, OnEvent: each}).Run(context.Background(), input))
	assert.Equal(t, thousands*batchSize, summary.Delivered)
	t.Logf("heap of %d kB behind the first tenth of %d events, %d kB behind the last", first>>10, events, last>>10)
	assert.Less(t, last, first+8<<20) // what is under way when it is looked at differs by a few batches
}
