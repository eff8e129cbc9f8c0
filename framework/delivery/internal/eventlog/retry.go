package eventlog

import (
	"context"
	"errors"
	"time"

	"github.com/landfall-dev/landfall/internal/pause"
)

// RetryWhile calls f, and again after each interval as long as its error wraps target, at most retries times. It returns f's last
// error.
func RetryWhile(ctx context.Context, target error, retries int, interval time.Duration, f func() error) error {
	err := f()
	for ; retries > 0 && errors.Is(err, target); retries-- {
		if pause.For(ctx, interval) != nil {
			break
		}
		err = f()
	}
	return err
}
