package delivery_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/delivery"
	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/internal/loglines"
)

// stressRounds returns the number of rounds of a stress test: LANDFALL_STRESS, or a few.
func stressRounds(few int) int {
	if n, err := strconv.Atoi(os.Getenv("LANDFALL_STRESS")); err == nil {
		return n
	}
	return few
}

// requireHealthy fails if damage was reported.
func requireHealthy(t *testing.T, q *delivery.Queue, lines *loglines.Buffer) {
	t.Helper()
	require.Empty(t, q.Problems())
	require.NotContains(t, lines.String(), "level=ERROR")
}

// Checkpoints move ahead of the last view of the log while events are appended, replayed and delivered. A reload at that moment
// acquires every partition again at once.
func TestReloadsDuringReplaysStopNoPartition(t *testing.T) {
	q, lines := openLogged(t, t.TempDir())
	remote := newRemote(t)
	plan := remote.planFor(`type = "track"`)
	settings := quick
	settings.Log = lines.NewLogger(slog.LevelInfo)
	runner := startRunner(t, q, settings, delivery.Instance{Plan: plan, Version: "0"})
	defer stopRunner(t, runner)
	for n := range stressRounds(30) {
		appendUserEvents(t, q, n*5, n*5+5)
		_, err := q.Replay(t.Context(), delivery.ReplayRequest{Instance: "main", Since: time.Now().Add(-time.Second)})
		require.NoError(t, err)
		waitForUsers(t, remote, n*5, n*5+5)
		require.NoError(t, runner.SetInstances(t.Context(), []delivery.Instance{{Plan: plan, Version: strconv.Itoa(n + 1)}}))
		status := runner.Status()
		require.Equal(t, 16, status[0].Partitions, "a reload takes all partitions up at once")
		requireHealthy(t, q, lines)
	}
}

// Servers on one log start, reload, stop and crash while events are appended and replayed. No checkpoint is rejected, no
// partition stops, nothing counts as lost, and everything is delivered.
func TestServersComeAndGoUnderLoad(t *testing.T) {
	url := natsServer(t)
	lines := &loglines.Buffer{}
	openQueue := func() *delivery.Queue {
		q, err := delivery.Open(t.Context(), delivery.Config{URL: url, Replicas: 1, Retention: time.Second, Log: lines.NewLogger(slog.LevelInfo)})
		require.NoError(t, err)
		return q
	}
	settings := quick
	settings.Lease, settings.TrimInterval, settings.Log = 2*time.Second, 100*time.Millisecond, lines.NewLogger(slog.LevelInfo)
	remotes := newRemote(t)
	plan := remotes.planOf(func(_ context.Context, call destination.BatchCall[change, change]) (*destination.MultiStatus, error) {
		remotes.mu.Lock()
		defer remotes.mu.Unlock()
		for _, c := range call.Payloads {
			remotes.taken[c.id] = append(remotes.taken[c.id], c.n)
		}
		return nil, nil
	}, `type = "track"`)
	q := openQueue()
	defer q.Close()
	runner := startRunner(t, q, settings, delivery.Instance{Plan: plan})
	defer stopRunner(t, runner)

	rounds := stressRounds(6)
	enough := make(chan struct{})
	var loading sync.WaitGroup
	sent := 0
	loading.Go(func() {
		for {
			select {
			case <-enough:
				return
			default:
			}
			var batch []delivery.NewEvent
			for n := range 10 {
				batch = append(batch, newEvent(fmt.Sprintf("user%03d", sent+n), 0))
			}
			if !assert.NoError(t, q.Append(t.Context(), batch)) {
				return
			}
			sent += 10
			if sent%200 == 0 {
				_, err := q.Replay(t.Context(), delivery.ReplayRequest{Instance: "main", Since: time.Now().Add(-100 * time.Millisecond)})
				assert.NoError(t, err)
			}
		}
	})
	for n := range rounds {
		guestQueue := openQueue()
		guest, err := delivery.NewRunner(t.Context(), guestQueue, settings)
		require.NoError(t, err)
		require.NoError(t, guest.SetInstances(t.Context(), []delivery.Instance{{Plan: plan, Version: strconv.Itoa(n)}}), "a start beside a busy server rejects no checkpoint")
		require.NoError(t, runner.SetInstances(t.Context(), []delivery.Instance{{Plan: plan, Version: strconv.Itoa(n)}}))
		require.NoError(t, guest.SetInstances(t.Context(), []delivery.Instance{{Plan: plan, Version: strconv.Itoa(-n)}}))
		if n%2 == 0 {
			stopRunner(t, guest)
		} else {
			guest.Kill()
		}
		requireHealthy(t, guestQueue, lines)
		guestQueue.Close()
		requireHealthy(t, q, lines)
	}
	close(enough)
	loading.Wait()
	waitForUsers(t, remotes, 0, sent)
	requireHealthy(t, q, lines)
}
