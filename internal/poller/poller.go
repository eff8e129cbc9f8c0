// Package poller calls a function again and again in the background.
package poller

import (
	"context"
	"sync"
	"time"
)

// Poller calls a function at an interval until it is closed.
type Poller struct {
	cancel context.CancelFunc
	done   sync.WaitGroup
}

// Start calls poll at every interval. It calls failed with the first error of each series of errors. The caller closes the Poller.
func Start(interval time.Duration, poll func(context.Context) error, failed func(error)) *Poller {
	ctx, cancel := context.WithCancel(context.Background())
	p := &Poller{cancel: cancel}
	p.done.Go(func() { run(ctx, interval, poll, failed) })
	return p
}

// Close ends the polling and waits for a call in progress, whose context ends.
func (p *Poller) Close() {
	p.cancel()
	p.done.Wait()
}

func run(ctx context.Context, interval time.Duration, poll func(context.Context) error, failed func(error)) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	failing := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		err := poll(ctx)
		if err != nil && !failing && ctx.Err() == nil {
			failed(err)
		}
		failing = err != nil
	}
}
