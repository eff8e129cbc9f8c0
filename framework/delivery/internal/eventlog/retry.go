package eventlog

import (
	"context"
	"errors"
	"time"
)

// SleepContext waits for d or until ctx ends. It returns the error of ctx.
func SleepContext(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// RetryWhile calls f, and again after each interval as long as its error wraps target, at most retries times. It returns f's last
// error.
func RetryWhile(ctx context.Context, target error, retries int, interval time.Duration, f func() error) error {
	err := f()
	for ; retries > 0 && errors.Is(err, target); retries-- {
		if SleepContext(ctx, interval) != nil {
			break
		}
		err = f()
	}
	return err
}
