package delivery_test

import (
	"context"
	"encoding/base64"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/delivery"
	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/internal/testsize"
)

// smallDisk mounts a small file system for a test. It skips the test if mounting is not permitted.
func smallDisk(t *testing.T, size string) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
		t.Skipf("a disk of its own cannot be mounted: %v", err)
	}
	t.Cleanup(func() { assert.NoError(t, syscall.Unmount(dir, syscall.MNT_DETACH)) })
	return filepath.Join(dir, "queue")
}

// largeEvent returns event n of a user, with 100 KB.
func largeEvent(user string, n int) delivery.NewEvent {
	return newEvent(user, n, `,"x":"`+randomText(n, 100_000)+`"`)
}

// randomText returns size characters, which the log cannot compress. Texts with other numbers have nothing in common with it.
func randomText(n, size int) string {
	data := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{byte(n), byte(n >> 8)}).Read(data)
	return base64.StdEncoding.EncodeToString(data)[:size]
}

// findingCodes returns the codes of the findings of a Runner's Health.
func findingCodes(r *delivery.Runner) (list []delivery.Code) {
	for _, f := range r.Health(context.Background()).Findings {
		list = append(list, f.Code)
	}
	return list
}

// With the default config on a small disk, delivered events are deleted when the disk runs short, and undelivered ones are kept.
func TestDeliveredEventsAreDeletedOnAShortDisk(t *testing.T) {
	q := openFiles(t, smallDisk(t, "64m"))
	t.Cleanup(q.Close)
	remote := newRemote(t)
	runner := startRunner(t, q, quick, delivery.Instance{Plan: remote.planFor(`type = "track"`)})
	t.Cleanup(func() { stopRunner(t, runner) })
	events := testsize.Of(1500, 800) // of 100 kB
	refusals := 0
	for n := range events {
		for since := time.Now(); q.Append(t.Context(), []delivery.NewEvent{largeEvent("u", n)}) != nil; refusals++ {
			require.Less(t, time.Since(since), waiting, "delivered events make room")
			time.Sleep(20 * time.Millisecond)
		}
	}
	waitForCounts(t, runner, map[string]int64{"events": int64(events), "delivered": int64(events)})
	requireInOrder(t, "u", remote.taken["u"])
	t.Logf("%d MB through a disk of 64 MB, %d refusals of 20 ms", events/10, refusals)
}

// On a disk full of undelivered events no more are accepted and none is lost. Once they are delivered, they are deleted.
func TestDiskFullOfWaitingEvents(t *testing.T) {
	q := openFiles(t, smallDisk(t, "64m"))
	t.Cleanup(q.Close)
	remote, opened := newRemote(t), make(chan struct{})
	remote.answer = func([]change) (*destination.MultiStatus, error) { <-opened; return nil, nil }
	runner := startRunner(t, q, quick, delivery.Instance{Plan: remote.planFor(`type = "track"`)})
	t.Cleanup(func() { stopRunner(t, runner) })
	taken := 0
	for ; ; taken++ {
		if err := q.Append(t.Context(), []delivery.NewEvent{largeEvent("u", taken)}); err != nil {
			require.ErrorIs(t, err, delivery.ErrFull)
			break
		}
		require.Less(t, taken, 700)
	}
	assert.Greater(t, taken, 300, "most of the disk is used")
	assert.Contains(t, findingCodes(runner), delivery.CodeDiskShort)
	assert.False(t, runner.Health(t.Context()).Ingesting)
	close(opened)
	require.Eventually(t, func() bool { return q.Append(t.Context(), []delivery.NewEvent{newEvent("u", taken)}) == nil }, time.Minute, 20*time.Millisecond)
	waitForCounts(t, runner, map[string]int64{"events": int64(taken) + 1, "delivered": int64(taken) + 1})
	requireInOrder(t, "u", remote.taken["u"])
	require.Eventually(t, func() bool { return runner.Health(t.Context()).Ready }, time.Minute, 20*time.Millisecond)
}

// failAll makes every request to the remote fail with a status, or none if it is 0.
func (r *remote) failAll(status int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answer = func(changes []change) (*destination.MultiStatus, error) {
		ms := destination.NewMultiStatus(len(changes))
		for i, c := range changes {
			if c.id == "good" {
				ms.Deliver(i)
				continue
			}
			ms.Fail(i, fault.FromStatus(status, "no"))
		}
		return ms, nil
	}
}

// The oldest dead letters beyond the limits are deleted and counted.
func TestDeadLetterLimits(t *testing.T) {
	for name, c := range map[string]struct {
		set  func(*delivery.Settings)
		left func(n int) bool
	}{
		"size": {func(s *delivery.Settings) { s.MaxDeadLetterBytes = 3_000_000 }, func(n int) bool { return n > 15 && n <= 30 }},
		"age":  {func(s *delivery.Settings) { s.DeadLetterRetention = 3 * time.Second }, func(n int) bool { return n == 0 }},
	} {
		t.Run(name, func(t *testing.T) {
			q := openQueue(t, t.TempDir())
			defer q.Close()
			remote := newRemote(t)
			remote.failAll(400)
			registry, s := prometheus.NewRegistry(), quick
			s.TrimInterval, s.Metrics = 100*time.Millisecond, delivery.NewMetrics(registry)
			c.set(&s)
			runner := startRunner(t, q, s, delivery.Instance{Plan: remote.planFor(`type = "track"`)})
			defer stopRunner(t, runner)
			for n := range 60 {
				require.NoError(t, q.Append(t.Context(), []delivery.NewEvent{largeEvent("u", n)}))
			}
			waitForCounts(t, runner, map[string]int64{"events": 60, "dead": 60})
			var left []*delivery.DeadLetter
			require.Eventually(t, func() bool {
				left = nil
				err := q.DeadLetters(t.Context(), delivery.DeadLetterFilter{}, func(l *delivery.DeadLetter) error { left = append(left, l); return nil })
				return err == nil && c.left(len(left)) && 60-len(left) == int(metricValue(t, registry, "landfall_dead_letters_expired_total", "bound", name))
			}, time.Minute, 50*time.Millisecond)
			for i, l := range left {
				assert.Contains(t, string(l.Event), newEvent("u", 60-len(left)+i).Key[2:], "the oldest went")
			}
		})
	}
}

// metricValue returns the sum of a metric's values with a label.
func metricValue(t *testing.T, registry *prometheus.Registry, name, label, value string) (sum float64) {
	families, err := registry.Gather()
	require.NoError(t, err)
	for _, f := range families {
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if f.GetName() == name && l.GetName() == label && l.GetValue() == value {
					sum += m.GetCounter().GetValue()
				}
			}
		}
	}
	return sum
}

// At the limit of parked events, an instance with parked events reads no more, deletes none and reports it, while another
// instance continues. It resumes when the parked events are replayed or dropped.
func TestParkedEventsLimit(t *testing.T) {
	for name, act := range map[string]func(*delivery.Queue, *remote) error{
		"replayed": func(q *delivery.Queue, r *remote) error {
			r.mu.Lock()
			r.answer = nil
			r.mu.Unlock()
			_, err := q.ReplayDeadLetters(context.Background(), delivery.DeadLetterFilter{Parked: true})
			return err
		},
		"dropped": func(q *delivery.Queue, _ *remote) error {
			_, err := q.DropDeadLetters(context.Background(), delivery.DeadLetterFilter{Parked: true})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			q, err := delivery.Open(t.Context(), delivery.Config{Dir: t.TempDir(), Partitions: 1})
			require.NoError(t, err)
			defer q.Close()
			remote := newRemote(t)
			remote.failAll(500)
			s := quick
			s.MaxParkedBytes, s.EvictAfter, s.RetryFor, s.TrimInterval = 2_000_000, time.Hour, 50*time.Millisecond, 50*time.Millisecond
			runner := startRunner(t, q, s, delivery.Instance{Plan: remote.planFor(`type = "track"`)})
			defer stopRunner(t, runner)
			const events = 60
			for n := range events {
				require.NoError(t, q.Append(t.Context(), []delivery.NewEvent{newEvent("good", n), largeEvent("bad", n)}))
				if n == 0 {
					require.Eventually(t, func() bool { return countsOf(runner)["parked"] > 0 }, time.Minute, 10*time.Millisecond)
				}
				time.Sleep(10 * time.Millisecond)
			}
			require.Eventually(t, func() bool { return slices.Equal(findingCodes(runner), []delivery.Code{delivery.CodeParkedFull}) }, time.Minute, 20*time.Millisecond)
			parked := int64(-1)
			require.Eventually(t, func() bool { // what was being parked when the limit was reached still is
				earlier := parked
				parked = countsOf(runner)["parked"]
				return parked == earlier
			}, time.Minute, 300*time.Millisecond, "no more is parked")
			assert.Less(t, parked, int64(events))
			assert.True(t, runner.Health(t.Context()).Ready, "it is an operator's business")
			require.Eventually(t, func() bool {
				require.NoError(t, act(q, remote)) // again, since some events may just be being parked
				c := countsOf(runner)
				return c["events"] == 2*events && c["parked"] == 0 || name == "dropped" && c["dropped"] >= parked
			}, time.Minute, 500*time.Millisecond)
			if name == "replayed" {
				requireInOrder(t, "bad", remote.taken["bad"])
				assert.Len(t, remote.taken["bad"], events, "none is lost")
			}
		})
	}
}
