package delivery

import (
	"context"
	"errors"
	"net/url"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog/memlog"
	"github.com/landfall-dev/landfall/framework/destination/httpx"
)

// deadlineTracer sends the deadlines of the batches that it traces.
type deadlineTracer struct {
	noop.Tracer
	deadlines chan time.Time
}

func (r deadlineTracer) Start(ctx context.Context, name string, options ...trace.SpanStartOption) (context.Context, trace.Span) {
	deadline, _ := ctx.Deadline()
	r.deadlines <- deadline
	return r.Tracer.Start(ctx, name, options...)
}

// TestLateBatchesEndBeforeTheLease checks that a batch whose goroutine runs late, as on a busy machine, gets no more time than was left of the lease when
// the batch was started: afterwards another process may send the same events.
func TestLateBatchesEndBeforeTheLease(t *testing.T) {
	tracer := deadlineTracer{deadlines: make(chan time.Time, 1)}
	_, w := newIdleRunner(t, memlog.New(memlog.Options{}).Connect(), 1, Settings{Tracer: tracer}, accepts(t))
	p := w.own(0, checkpoint{Low: 1})
	item := p.prepareEvent(t, "u", 0)
	w.mu.Lock()
	limit := p.requestAllowanceLocked()
	p.addTaskLocked(item, "u", 0)
	started := time.Now()
	time.Sleep(50 * time.Millisecond) // the goroutine waits for the mutex
	w.mu.Unlock()
	deadline := <-tracer.deadlines
	assert.False(t, deadline.After(started.Add(limit)), "%v too late", deadline.Sub(started.Add(limit)))
}

func TestFailureStatusNamesNoUser(t *testing.T) {
	const user = "https://a.example/users/ann@example.com"
	for want, x := range map[string]*httpx.Exchange{
		"connection refused: nothing listens there": {Err: &url.Error{Op: "Get", URL: user, Err: syscall.ECONNREFUSED}},
		"the request failed":                        {Err: &url.Error{Op: "Get", URL: user, Err: errors.New("unexpected EOF")}},
		"Not Found":                                 {Status: 404, ResponseBody: []byte(`{"error": "no user ann@example.com"}`)},
	} {
		assert.Equal(t, want, failureStatus(x))
	}
}
