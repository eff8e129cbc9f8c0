package delivery_test

import (
	"context"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/delivery"
	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/fault"
)

// smallDisk mounts a file system of its own for a test. Without the permission to mount, the test is skipped.
func smallDisk(t *testing.T, size string) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
		t.Skipf("a disk of its own cannot be mounted: %v", err)
	}
	t.Cleanup(func() { assert.NoError(t, syscall.Unmount(dir, syscall.MNT_DETACH)) })
	return filepath.Join(dir, "queue")
}

// large is event n of a user with 100 KB.
func large(user string, n int) delivery.NewEvent {
	return line(user, n, `,"x":"`+strings.Repeat("x", 100_000)+`"`)
}

// codes are the kinds of what a Runner's Health finds.
func codes(r *delivery.Runner) (list []delivery.Code) {
	for _, f := range r.Health(context.Background()).Findings {
		list = append(list, f.Code)
	}
	return list
}

// On a small disk and with the default config, delivered events go when the disk runs short, and what is not delivered stays.
func TestDeliveredEventsGoWhenTheDiskIsShort(t *testing.T) {
	q := open(t, smallDisk(t, "64m"))
	t.Cleanup(q.Close)
	remote := newRemote(t)
	runner := start(t, q, quick, delivery.Instance{Plan: remote.plan(`type = "track"`)})
	t.Cleanup(func() { stop(t, runner) })
	const events = 1500 // 150 MB
	refusals := 0
	for n := range events {
		for q.Append(t.Context(), []delivery.NewEvent{large("u", n)}) != nil {
			refusals++
			require.Less(t, refusals, 1500, "delivered events make room at once")
			time.Sleep(20 * time.Millisecond)
		}
	}
	eventually(t, runner, map[string]int64{"events": events, "delivered": events})
	inOrder(t, "u", remote.taken["u"])
	t.Logf("150 MB through a disk of 64 MB, %d refusals of 20 ms", refusals)
}

// A disk full of events that are not delivered: no more is taken, nothing is lost, and when they are delivered, they make room.
func TestADiskFullOfWaitingEvents(t *testing.T) {
	q := open(t, smallDisk(t, "64m"))
	t.Cleanup(q.Close)
	remote, opened := newRemote(t), make(chan struct{})
	remote.answer = func([]change) (*destination.MultiStatus, error) { <-opened; return nil, nil }
	runner := start(t, q, quick, delivery.Instance{Plan: remote.plan(`type = "track"`)})
	t.Cleanup(func() { stop(t, runner) })
	taken := 0
	for ; ; taken++ {
		if err := q.Append(t.Context(), []delivery.NewEvent{large("u", taken)}); err != nil {
			require.ErrorIs(t, err, delivery.ErrFull)
			break
		}
		require.Less(t, taken, 700)
	}
	assert.Greater(t, taken, 300, "most of the disk is used")
	assert.Contains(t, codes(runner), delivery.CodeDiskShort)
	assert.False(t, runner.Health(t.Context()).Ingesting)
	close(opened)
	require.Eventually(t, func() bool { return q.Append(t.Context(), []delivery.NewEvent{line("u", taken)}) == nil }, 20*time.Second, 20*time.Millisecond)
	eventually(t, runner, map[string]int64{"events": int64(taken) + 1, "delivered": int64(taken) + 1})
	inOrder(t, "u", remote.taken["u"])
	require.Eventually(t, func() bool { return runner.Health(t.Context()).Ready }, 20*time.Second, 20*time.Millisecond)
}

// refuse lets every event of a remote fail with a status.
func (r *remote) refuse(status int) {
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

// Dead letters go at their bounds, the oldest first, and are counted.
func TestDeadLettersHaveBounds(t *testing.T) {
	for name, c := range map[string]struct {
		set  func(*delivery.Settings)
		left func(n int) bool
	}{
		"size": {func(s *delivery.Settings) { s.MaxDeadLetterBytes = 3_000_000 }, func(n int) bool { return n > 15 && n <= 30 }},
		"age":  {func(s *delivery.Settings) { s.DeadLetterRetention = 3 * time.Second }, func(n int) bool { return n == 0 }},
	} {
		t.Run(name, func(t *testing.T) {
			q := open(t, t.TempDir())
			defer q.Close()
			remote := newRemote(t)
			remote.refuse(400)
			registry, s := prometheus.NewRegistry(), quick
			s.TrimInterval, s.Metrics = 100*time.Millisecond, delivery.NewMetrics(registry)
			c.set(&s)
			runner := start(t, q, s, delivery.Instance{Plan: remote.plan(`type = "track"`)})
			defer stop(t, runner)
			for n := range 60 {
				require.NoError(t, q.Append(t.Context(), []delivery.NewEvent{large("u", n)}))
			}
			eventually(t, runner, map[string]int64{"events": 60, "dead": 60})
			var left []*delivery.DeadLetter
			require.Eventually(t, func() bool {
				left = nil
				err := q.DeadLetters(t.Context(), delivery.DeadLetterFilter{}, func(l *delivery.DeadLetter) error { left = append(left, l); return nil })
				return err == nil && c.left(len(left)) && 60-len(left) == int(metric(t, registry, "landfall_dead_letters_expired_total", "bound", name))
			}, 20*time.Second, 50*time.Millisecond)
			for i, l := range left {
				assert.Contains(t, string(l.Event), line("u", 60-len(left)+i).Key[2:], "the oldest went")
			}
		})
	}
}

// metric is the value of a counter with a label.
func metric(t *testing.T, registry *prometheus.Registry, name, label, value string) (sum float64) {
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

// At the bound of parked events an instance with parked events takes no more, deletes none and says so; another goes on. When
// parked events are replayed or dropped, it goes on by itself.
func TestParkedEventsHaveABound(t *testing.T) {
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
			remote.refuse(500)
			s := quick
			s.MaxParkedBytes, s.EvictAfter, s.RetryFor, s.TrimInterval = 2_000_000, time.Hour, 50*time.Millisecond, 50*time.Millisecond
			runner := start(t, q, s, delivery.Instance{Plan: remote.plan(`type = "track"`)})
			defer stop(t, runner)
			const events = 60
			for n := range events {
				require.NoError(t, q.Append(t.Context(), []delivery.NewEvent{line("good", n), large("bad", n)}))
				if n == 0 {
					require.Eventually(t, func() bool { return counts(runner)["parked"] > 0 }, 20*time.Second, 10*time.Millisecond)
				}
				time.Sleep(10 * time.Millisecond)
			}
			require.Eventually(t, func() bool { return len(codes(runner)) == 1 }, 20*time.Second, 20*time.Millisecond)
			require.Equal(t, []delivery.Code{delivery.CodeParkedFull}, codes(runner))
			parked := counts(runner)["parked"]
			assert.Less(t, parked, int64(events))
			time.Sleep(300 * time.Millisecond)
			assert.Equal(t, parked, counts(runner)["parked"], "no more is parked")
			assert.True(t, runner.Health(t.Context()).Ready, "it is an operator's business")
			require.NoError(t, act(q, remote))
			require.Eventually(t, func() bool {
				c := counts(runner)
				return c["events"] == 2*events && c["parked"] == 0 || name == "dropped" && c["dropped"] >= parked
			}, 30*time.Second, 20*time.Millisecond)
			if name == "replayed" {
				inOrder(t, "bad", remote.taken["bad"])
				assert.Len(t, remote.taken["bad"], events, "none is lost")
			}
		})
	}
}
