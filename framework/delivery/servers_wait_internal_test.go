package delivery

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog"
	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog/memlog"
)

// leaderless is a log whose servers have no leader until a time.
type leaderless struct {
	eventlog.Log
	until time.Time
}

func (l *leaderless) Info(ctx context.Context, stream string) (eventlog.Info, error) {
	if time.Now().Before(l.until) {
		return eventlog.Info{}, context.DeadlineExceeded
	}
	return l.Log.Info(ctx, stream)
}

// TestRestoreWaitsForALeader checks that a restore waits for servers that are electing a leader, says so, and says what to check if it takes too long.
func TestRestoreWaitsForALeader(t *testing.T) {
	for _, c := range []struct {
		lasts  time.Duration
		shared bool
		want   string
	}{{20 * time.Second, true, ""}, {2 * time.Minute, true, "most of them run"}, {20 * time.Second, false, "deadline exceeded"}} {
		synctest.Test(t, func(t *testing.T) {
			var text bytes.Buffer
			log := &leaderless{memlog.New(memlog.Options{Shared: c.shared}).Connect(), time.Now().Add(c.lasts)}
			q := &Queue{store: log, config: Config{Log: slog.New(slog.NewTextHandler(&text, nil))}}
			began := time.Now()
			err := q.checkNoStreams(t.Context())
			if c.want == "" {
				require.NoError(t, err)
			} else {
				require.ErrorContains(t, err, c.want)
				require.ErrorIs(t, err, context.DeadlineExceeded)
			}
			assert.LessOrEqual(t, time.Since(began), serversWait+time.Second)
			assert.Equal(t, c.shared, strings.Contains(text.String(), "waiting for the NATS servers"))
			log.Close()
		})
	}
}
