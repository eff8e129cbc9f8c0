package history

import "context"

// TrimOnce deletes what is too old, as a running Recorder does from time to time.
func TrimOnce(ctx context.Context, c Config) {
	r := newRecorder(c)
	r.trim(ctx)
	r.trimLedgers(ctx)
}
