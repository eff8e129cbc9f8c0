package natslog

import (
	"context"
	"time"

	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog"
	"github.com/landfall-dev/landfall/internal/pause"
)

// acrossRestarts calls read, and calls it again if the server in this process was restarted meanwhile, such as for an erasure: the server that was
// stopped never answers. On a cluster it calls read once.
func (l *Log) acrossRestarts(ctx context.Context, read func(context.Context) error) error {
	for again := false; l.embedded != nil; again = true {
		running, err := l.embedded.awaitLife(ctx)
		if err == nil && again {
			err = l.waitForConnection()
		}
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
	}
	return read(ctx)
}

// awaitLife returns a context that ends when the running server is stopped. During a restart it waits for the next server, and as long as files
// are changed, such as by an erasure in a large log.
func (e *embeddedServer) awaitLife(ctx context.Context) (context.Context, error) {
	for began := time.Now(); ; {
		e.mu.Lock()
		isRunning, isLast, changes := e.running != nil, e.isLast, e.changes
		life := e.life
		e.mu.Unlock()
		if changes {
			began = time.Now()
		}
		switch {
		case isRunning:
			return life, nil
		case isLast:
			return nil, eventlog.ErrClosed
		case time.Since(began) > reconnectTimeout, pause.For(ctx, connectPoll) != nil:
			return nil, errServerDown
		}
	}
}
