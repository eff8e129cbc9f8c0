// Package pause waits for a time or for the end of a context, whichever comes first.
package pause

import (
	"context"
	"time"
)

// For waits for d or until ctx ends. In the latter case it returns the error of ctx.
func For(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
