package delivery_test

import (
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/delivery"
	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/fault"
)

// poisonedBy returns a remote that fails every request with one of these users, and the count of its requests.
func poisonedBy(t *testing.T, err error, users ...string) (*remote, *atomic.Int64) {
	remote, requests := newRemote(t), &atomic.Int64{}
	remote.answer = func(changes []change) (*destination.MultiStatus, error) {
		requests.Add(1)
		for _, c := range changes {
			for _, user := range users {
				if c.id == user {
					return nil, err
				}
			}
		}
		return nil, nil
	}
	return remote, requests
}

// oneEventEach returns one event of each of n users, in one group.
func oneEventEach(users, n int) []delivery.NewEvent {
	batch := make([]delivery.NewEvent, users)
	for u := range batch {
		batch[u] = newEvent(fmt.Sprintf("u%d", u), n, `,"group":"g"`)
	}
	return batch
}

// A user that makes every batch fail, in whatever way, is parked alone. All others are delivered with few requests.
func TestPoisonousUserIsParkedAlone(t *testing.T) {
	for name, test := range map[string]struct {
		err   error
		users []string
	}{
		"500":              {fault.FromStatus(500, "boom"), []string{"u17"}},
		"503, first":       {fault.FromStatus(503, "boom"), []string{"u0"}},
		"502, last":        {fault.FromStatus(502, "boom"), []string{"u99"}},
		"408":              {fault.FromStatus(408, "timeout"), []string{"u3"}},
		"connection reset": {fault.ConnectionFailed(errors.New("connection reset by peer")), []string{"u42"}},
		"several":          {fault.FromStatus(500, "boom"), []string{"u1", "u2", "u50", "u98"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { parkPoisonousUsers(t, test.err, test.users) })
		})
	}
}

func parkPoisonousUsers(t *testing.T, err error, users []string) {
	q := memoryQueue(t, 16)
	remote, requests := poisonedBy(t, err, users...)
	runner := startRunner(t, q, quick, delivery.Instance{Plan: remote.planFor(`type = "track"`)})
	defer stopRunner(t, runner)
	require.NoError(t, q.Append(t.Context(), oneEventEach(100, 0)))
	require.NoError(t, q.Append(t.Context(), oneEventEach(100, 1)))
	poison := int64(len(users))
	waitForCounts(t, runner, map[string]int64{"events": 200, "delivered": 200 - 2*poison, "parked": 2 * poison})
	for _, l := range allLetters(t, q) {
		assert.Contains(t, users, delivery.UserOf(l.Key))
	}
	assert.Less(t, requests.Load(), 40+poison*60)
}

// Events are not parked because their batch, which keeps failing, also held an event that this process refused.
func TestRefusedPayloadDoesNotPenalizeTheBatch(t *testing.T) {
	q := openQueue(t, t.TempDir())
	defer q.Close()
	remote, down := newRemote(t), &atomic.Bool{}
	down.Store(true)
	remote.answer = func(changes []change) (*destination.MultiStatus, error) {
		ms, isDown := destination.NewMultiStatus(len(changes)), down.Load() // once, since events that fail where others are delivered are parked
		for i, c := range changes {
			switch {
			case c.n < 0:
				ms.Fail(i, fault.Invalid("there is no identifier"))
			case isDown:
				ms.Fail(i, fault.FromStatus(500, "down"))
			default:
				ms.Deliver(i)
			}
		}
		return ms, nil
	}
	settings := quick
	settings.MaxAttempts = 1
	runner := startRunner(t, q, settings, delivery.Instance{Plan: remote.planFor(`type = "track"`)})
	defer stopRunner(t, runner)
	require.NoError(t, q.Append(t.Context(), append(oneEventEach(20, 0), newEvent("invalid", -1, `,"group":"g"`))))
	require.Eventually(t, func() bool { return countsOf(runner)["dead"] == 1 && runner.Status()[0].Retried > 60 }, waiting, tick)
	down.Store(false)
	waitForCounts(t, runner, map[string]int64{"events": 21, "delivered": 20, "dead": 1})
}

// In an outage the remote gets one request for each backoff of a lane, and whole batches afterwards.
func TestOutageIsNotHalved(t *testing.T) { synctest.Test(t, endOutage) }

func endOutage(t *testing.T) {
	q := memoryQueue(t, 16)
	remote, down := newRemote(t), &atomic.Bool{}
	down.Store(true)
	var requests, after, largest atomic.Int64
	remote.answer = func(changes []change) (*destination.MultiStatus, error) {
		if down.Load() {
			requests.Add(1)
			return nil, fault.FromStatus(503, "down")
		}
		after.Add(1)
		largest.Store(max(largest.Load(), int64(len(changes))))
		return nil, nil
	}
	settings := quick
	settings.MinBackoff, settings.MaxBackoff = 20*time.Millisecond, 50*time.Millisecond
	settings.EvictAfter = time.Minute
	runner := startRunner(t, q, settings, delivery.Instance{Plan: remote.planFor(`type = "track"`)})
	defer stopRunner(t, runner)
	began := time.Now()
	require.NoError(t, q.Append(t.Context(), oneEventEach(400, 0)))
	require.Eventually(t, func() bool { return requests.Load() >= 40 }, waiting, tick)
	assert.LessOrEqual(t, requests.Load(), 5+int64(time.Since(began)/(20*time.Millisecond)), "one lane, one request for each backoff")
	down.Store(false)
	waitForCounts(t, runner, map[string]int64{"events": 400, "delivered": 400})
	assert.Equal(t, int64(50), largest.Load())
	assert.Less(t, after.Load(), int64(20), "eight batches of 50, and what was halved last")
}
