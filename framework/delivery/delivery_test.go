package delivery_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/landfall-dev/landfall/framework/delivery"
	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog/memlog"
	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/dispatch/budget"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/runtime"
	"github.com/landfall-dev/landfall/framework/runtime/config"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("github.com/nats-io/nats-server/v2/server.(*Server).startGoRoutine.func1"))
}

const definition = `
name: Acme
slug: acme
mode: cloud
authentication: {scheme: none}
actions:
  send:
    title: Send
    isolate: true
    fields:
      id: {label: ID, type: string, required: true, default: {"@path": $.userId}}
      n: {label: N, type: integer, default: {"@path": $.n}}
      group: {label: Group, type: string, default: {"@path": $.group}}
      batch_size: {label: Batch Size, type: integer, default: 50}
      batch_keys: {label: Batch Keys, type: string, multiple: true, default: [group]}
`

type change struct {
	id, group string
	n         int
}

func (c *change) Decode(v event.Value) {
	c.id, c.group, c.n = v.Get("id").Str(), v.Get("group").Str(), int(v.Get("n").Float())
}

// remote is the remote of a test's instances.
type remote struct {
	t      *testing.T
	mu     sync.Mutex
	taken  map[string][]int    // by user, in order of arrival
	busy   map[remoteLane]bool // lanes with a request in flight
	answer func(changes []change) (*destination.MultiStatus, error)
}

// remoteLane is a lane as a remote sees it. Replayed events and letters have a lane of their own.
type remoteLane struct {
	group string
	class budget.Class
}

func newRemote(t *testing.T) *remote {
	return &remote{t: t, taken: map[string][]int{}, busy: map[remoteLane]bool{}}
}

func (r *remote) perform(ctx context.Context, call destination.BatchCall[change, change]) (*destination.MultiStatus, error) {
	lane, users := remoteLane{call.Payloads[0].group, budget.ClassOf(ctx)}, map[string]bool{}
	r.mu.Lock()
	assert.False(r.t, r.busy[lane], "two requests at once for the lane %v", lane)
	r.busy[lane] = true
	for _, c := range call.Payloads {
		assert.False(r.t, users[c.id], "%s is twice in a request", c.id)
		users[c.id] = true
	}
	answer := r.answer
	r.mu.Unlock()
	var ms *destination.MultiStatus
	var err error
	if answer != nil {
		ms, err = answer(call.Payloads)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.busy[lane] = false
	if err == nil {
		for i, c := range call.Payloads {
			if ms == nil || ms.Decided(i) && ms.Result(i).Outcome == destination.Delivered {
				r.taken[c.id] = append(r.taken[c.id], c.n)
			}
		}
	}
	return ms, err
}

func (r *remote) planFor(subscribe string) *runtime.Plan { return r.planOf(r.perform, subscribe) }

func (r *remote) planOf(perform func(context.Context, destination.BatchCall[change, change]) (*destination.MultiStatus, error), subscribe string) *runtime.Plan {
	return r.planNamed("all", perform, subscribe)
}

func (r *remote) planNamed(name string, perform func(context.Context, destination.BatchCall[change, change]) (*destination.MultiStatus, error), subscribe string) *runtime.Plan {
	return r.planOfInstance("main", name, perform, subscribe)
}

func (r *remote) planOfInstance(id, name string, perform func(context.Context, destination.BatchCall[change, change]) (*destination.MultiStatus, error), subscribe string) *runtime.Plan {
	p := destination.Plugin{
		Definition: fstest.MapFS{destination.DefinitionFile: {Data: []byte(definition)}},
		Actions: map[string]destination.Action{"send": destination.Handle(destination.Handler[change, change]{
			PerformBatch: perform,
		})},
	}
	d, err := p.Load()
	require.NoError(r.t, err)
	in := config.InstanceOf(event.MustParse(fmt.Sprintf(`{"id":%q,"subscriptions":[{"name":%q,"action":"send","subscribe":%q}]}`, id, name, subscribe)))
	made, err := runtime.New(p, d, in, runtime.Host{})
	require.NoError(r.t, err)
	return made
}

// openFiles opens a queue whose files the test reads or changes.
func openFiles(t *testing.T, dir string) *delivery.Queue {
	q, err := delivery.Open(t.Context(), delivery.Config{Dir: dir})
	require.NoError(t, err)
	return q
}

func openQueue(t *testing.T, dir string) *delivery.Queue {
	q, err := delivery.OpenTest(t, delivery.Config{Dir: dir})
	require.NoError(t, err)
	return q
}

// memoryQueue opens a queue whose log is in memory, for tests in a bubble: there no machine is too slow for their times.
func memoryQueue(t *testing.T, partitions int) *delivery.Queue {
	q, err := delivery.Open(t.Context(), delivery.Config{Partitions: partitions}.On(memlog.New(memlog.Options{}).Connect()))
	require.NoError(t, err)
	t.Cleanup(q.Close)
	return q
}

// quick are settings with short waits. The leases are long, so that on a slow disk, too, SetInstances acquires all partitions and none is lost.
var quick = delivery.Settings{
	Linger: 10 * time.Millisecond, MinBackoff: time.Millisecond, MaxBackoff: 20 * time.Millisecond, MaxAttempts: 5, EvictAfter: 50 * time.Millisecond,
	Lease: 10 * time.Minute,
}

func startRunner(t *testing.T, q *delivery.Queue, s delivery.Settings, instances ...delivery.Instance) *delivery.Runner {
	runner, err := delivery.NewRunner(t.Context(), q, s)
	require.NoError(t, err)
	require.NoError(t, runner.SetInstances(t.Context(), instances))
	return runner
}

func stopRunner(t *testing.T, r *delivery.Runner) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), time.Minute)
	defer cancel()
	r.Stop(ctx)
}

// newEvent returns event n of a user.
func newEvent(user string, n int, more ...string) delivery.NewEvent {
	raw := fmt.Sprintf(`{"type":"track","messageId":"%s-%d","userId":%q,"n":%d,"group":"g%d"%s}`, user, n, user, n, n%3, strings.Join(more, ""))
	e, err := event.Parse([]byte(raw))
	if err != nil {
		panic(err)
	}
	return delivery.NewEvent{Source: "web", Key: event.OrderingKey(e.Value()), Raw: []byte(raw)}
}

func countsOf(r *delivery.Runner) map[string]int64 {
	sum := map[string]int64{}
	for _, s := range r.Status() {
		for k, n := range s.Counts {
			if n != 0 || k == "dead" || k == "parked" {
				sum[k] += n
			}
		}
	}
	return sum
}

// requireInOrder fails unless a user's events have arrived in order, starting with the first, each exactly once.
func requireInOrder(t *testing.T, user string, list []int) {
	t.Helper()
	for i, n := range list {
		require.Equal(t, i, n, "%s: %v", user, list)
	}
}

// waitForCounts waits as long as the counts change.
func waitForCounts(t *testing.T, r *delivery.Runner, want map[string]int64) {
	t.Helper()
	counts, since := countsOf(r), time.Now()
	for !maps.Equal(counts, want) && time.Since(since) < waiting {
		time.Sleep(tick)
		if now := countsOf(r); !maps.Equal(now, counts) {
			counts, since = now, time.Now()
		}
	}
	require.Equal(t, want, counts)
}

func TestEventsAreDeliveredInTheOrderOfEachUser(t *testing.T) {
	q := openQueue(t, t.TempDir())
	defer q.Close()
	remote := newRemote(t)
	random := rand.New(rand.NewPCG(1, 2))
	remote.answer = func(changes []change) (*destination.MultiStatus, error) {
		remote.mu.Lock()
		defer remote.mu.Unlock()
		if random.IntN(10) == 0 {
			return nil, fault.FromStatus(503, "down")
		}
		ms := destination.NewMultiStatus(len(changes))
		for i := range changes {
			ms.Deliver(i)
			if random.IntN(20) == 0 {
				ms.Fail(i, fault.FromStatus(500, "not this one"))
			}
		}
		return ms, nil
	}
	patient := quick
	patient.MaxAttempts = 100 // of 3000 events, one may fail five times in a row
	runner := startRunner(t, q, patient, delivery.Instance{Plan: remote.planFor(`type = "track"`)})
	const users, each = 50, 60
	for n := range each {
		var batch []delivery.NewEvent
		for u := range users {
			batch = append(batch, newEvent(fmt.Sprintf("u%d", u), n))
		}
		require.NoError(t, q.Append(t.Context(), batch))
	}
	waitForCounts(t, runner, map[string]int64{"events": users * each, "delivered": users * each})
	stopRunner(t, runner)
	for user, list := range remote.taken {
		requireInOrder(t, user, list)
	}
	assert.Len(t, remote.taken, users)
}

// Refused events become dead letters. Events that keep failing are parked with the later events of their user, and no other user
// waits. Replays keep the order.
func TestDeadLettersAreReplayedInOrder(t *testing.T) {
	dir := t.TempDir()
	q := openQueue(t, dir)
	remote := newRemote(t)
	well := false
	remote.answer = func(changes []change) (*destination.MultiStatus, error) {
		remote.mu.Lock()
		defer remote.mu.Unlock()
		ms := destination.NewMultiStatus(len(changes))
		for i, c := range changes {
			switch {
			case well, c.id == "fine":
				ms.Deliver(i)
			case c.id == "poison":
				ms.Fail(i, fault.FromStatus(500, "try later"))
			default:
				ms.Fail(i, fault.FromStatus(400, "never"))
			}
		}
		return ms, nil
	}
	plan := remote.planFor(`type = "track"`)
	runner := startRunner(t, q, quick, delivery.Instance{Plan: plan})
	same := `,"group":"g"`
	for n := range 10 {
		require.NoError(t, q.Append(t.Context(), []delivery.NewEvent{newEvent("poison", n, same), newEvent("bad", n, same), newEvent("fine", n, same)}))
		require.NoError(t, q.Append(t.Context(), []delivery.NewEvent{newEvent("fine", n+100, same)}))
		time.Sleep(5 * time.Millisecond)
	}
	waitForCounts(t, runner, map[string]int64{"events": 40, "delivered": 20, "dead": 10, "parked": 10})
	stopRunner(t, runner)
	q.Close()

	q = openQueue(t, dir)
	defer q.Close()
	letters := func(f delivery.DeadLetterFilter) (list []*delivery.DeadLetter) {
		require.NoError(t, q.DeadLetters(t.Context(), f, func(l *delivery.DeadLetter) error { list = append(list, l); return nil }))
		return list
	}
	require.Len(t, letters(delivery.DeadLetterFilter{}), 20)
	parked := letters(delivery.DeadLetterFilter{Parked: true, User: "poison"})
	require.Len(t, parked, 10)
	assert.Equal(t, "try later", parked[0].Reason)
	assert.GreaterOrEqual(t, parked[0].Attempts, 5)
	assert.Contains(t, parked[1].Reason, "waits behind")
	dead := letters(delivery.DeadLetterFilter{Dead: true, Reason: "NEVER"})
	require.Len(t, dead, 10)
	assert.Equal(t, 1, dead[0].Attempts)

	runner = startRunner(t, q, quick, delivery.Instance{Plan: plan})
	require.NoError(t, q.Append(t.Context(), []delivery.NewEvent{newEvent("poison", 10, same), newEvent("bad", 10, same)}))
	waitForCounts(t, runner, map[string]int64{"events": 42, "delivered": 20, "dead": 11, "parked": 11})
	remote.mu.Lock()
	well = true
	remote.mu.Unlock()
	require.NoError(t, q.Append(t.Context(), []delivery.NewEvent{newEvent("poison", 11, same)}))
	n, err := q.ReplayDeadLetters(t.Context(), delivery.DeadLetterFilter{Instance: "main"})
	require.NoError(t, err)
	assert.GreaterOrEqual(t, n, 22)
	require.NoError(t, q.Append(t.Context(), []delivery.NewEvent{newEvent("poison", 12, same), newEvent("bad", 11, same)}))
	waitForCounts(t, runner, map[string]int64{"events": 45, "delivered": 45, "dead": 0, "parked": 0})
	require.Empty(t, letters(delivery.DeadLetterFilter{}))
	for _, user := range []string{"poison", "bad"} {
		requireInOrder(t, user, remote.taken[user])
	}
	stopRunner(t, runner)
}

// If the remote refuses a whole batch because of one event, only that event becomes a dead letter.
func TestOnlyTheRefusedEventOfABatchDies(t *testing.T) {
	q := openQueue(t, t.TempDir())
	defer q.Close()
	remote := newRemote(t)
	remote.answer = func(changes []change) (*destination.MultiStatus, error) {
		for _, c := range changes {
			if c.id == "u17" {
				return nil, fault.FromStatus(400, "bad request")
			}
		}
		return nil, nil
	}
	runner := startRunner(t, q, quick, delivery.Instance{Plan: remote.planFor(`type = "track"`)})
	var batch []delivery.NewEvent
	for u := range 100 {
		batch = append(batch, newEvent(fmt.Sprintf("u%d", u), 0))
	}
	require.NoError(t, q.Append(t.Context(), batch))
	waitForCounts(t, runner, map[string]int64{"events": 100, "delivered": 99, "dead": 1})
	stopRunner(t, runner)
}

// Timeout and interval of waits in tests.
const (
	waiting = time.Minute
	tick    = 10 * time.Millisecond
)

// countOf returns how many changes of a user the remote has accepted.
func (r *remote) countOf(user string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.taken[user])
}

func userIs(user string) func(event.Value) bool {
	return func(e event.Value) bool { return e.Get("userId").Str() == user }
}
