package history

import (
	"context"
	"time"
)

// TrimOnce deletes what is too old, as a running Recorder does from time to time.
func TrimOnce(ctx context.Context, c Config) {
	r := newRecorder(c)
	r.trim(ctx)
	r.trimLedgers(ctx)
}

// NewIdle returns a Recorder that does nothing by itself.
func NewIdle(c Config) *Recorder { return newRecorder(c) }

// Tick does what a running Recorder does from time to time.
func (r *Recorder) Tick(ctx context.Context) {
	r.polled = time.Time{}
	r.tick(ctx)
}

// Stop writes what was recorded, as Close does.
func (r *Recorder) Stop(ctx context.Context) {
	r.pollCounts(true)
	r.Flush(ctx)
}
