package runtime_test

import (
	"context"
	"fmt"
	"io"
	"math"
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

// TestMemoryDoesNotGrow checks that events are not retained after their verdicts: the heap in the last tenths of many events is
// as large as in the first.
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
	// How much is under way differs from look to look: the most of the beginning is compared with the least of the end.
	first, last := 0, math.MaxInt
	input := &endless{left: thousands, look: func(left int) {
		switch {
		case left%max(thousands/20, 1) != 0:
		case left >= thousands*7/10 && left <= thousands*9/10:
			first = max(first, heap())
		case left <= thousands*2/10:
			last = min(last, heap())
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
	t.Logf("heap of %d kB in the first tenths of %d events, %d kB in the last", first>>10, events, last>>10)
	assert.Less(t, last, first+8<<20)
}
