package natslog

import (
	"context"

	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog"
	"github.com/landfall-dev/landfall/internal/pause"
)

// acrossRestarts calls read, and calls it again if the server in this process was restarted meanwhile, such as for an erasure: the server that was
// stopped never answers. On a cluster it calls read once.
func (l *Log) acrossRestarts(ctx context.Context, read func(context.Context) error) error {
	for l.embedded != nil {
		running, err := l.embedded.awaitLife(ctx)
		if err != nil {
			return err
		}
		attempt, cancel := context.WithCancel(ctx)
		stop := context.AfterFunc(running, cancel)
		err = read(attempt)
		stop()
		cancel()
		if err == nil || ctx.Err() != nil || running.Err() == nil {
			return err
		}
		if err := l.waitForConnection(); err != nil {
			return err
		}
	}
	return read(ctx)
}

// awaitLife returns a context that ends when the running server is stopped. During a restart it waits for the next server.
func (e *embeddedServer) awaitLife(ctx context.Context) (context.Context, error) {
	ctx, cancel := context.WithTimeout(ctx, reconnectTimeout)
	defer cancel()
	for {
		e.mu.Lock()
		isRunning, isLast := e.running != nil, e.isLast
		life := e.life
		e.mu.Unlock()
		switch {
		case isRunning:
			return life, nil
		case isLast:
			return nil, eventlog.ErrClosed
		case pause.For(ctx, connectPoll) != nil:
			return nil, errServerDown
		}
	}
}
