package delivery

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/runtime"
	"github.com/landfall-dev/landfall/framework/runtime/config"
)

type nothing struct{}

func (*nothing) Decode(event.Value) {}

// refusingInstance returns an instance whose remote refuses everything.
func refusingInstance(t *testing.T) Instance {
	return answeringInstance(t, func() error { return fault.FromStatus(400, "never") })
}

// answeringInstance returns an instance whose remote answers each event with an error or nil.
func answeringInstance(t *testing.T, answer func() error) Instance {
	return hostedInstance(t, "none", runtime.Host{}, answer)
}

// hostedInstance is answeringInstance with an authentication scheme and a host.
func hostedInstance(t *testing.T, scheme string, host runtime.Host, answer func() error) Instance {
	p := destination.Plugin{
		Definition: fstest.MapFS{destination.DefinitionFile: {Data: []byte("name: Acme\nslug: acme\nmode: cloud\nauthentication: {scheme: " + scheme + "}\n" +
			"actions:\n  send:\n    title: Send\n    fields:\n      id: {label: ID, type: string, default: {\"@path\": $.userId}}\n")}},
		Actions: map[string]destination.Action{"send": destination.Handle(destination.Handler[nothing, nothing]{
			Perform: func(context.Context, destination.Call[nothing, nothing]) (*destination.Response, error) {
				return nil, answer()
			},
		})},
	}
	d, err := p.Load()
	require.NoError(t, err)
	in := config.InstanceOf(event.MustParse(`{"id":"main","subscriptions":[{"name":"all","action":"send","subscribe":"type = \"track\""}]}`))
	plan, err := runtime.New(p, d, in, host)
	require.NoError(t, err)
	return Instance{Plan: plan}
}

// If a dead letter cannot be written, its instance can still be stopped and changed, and the event is not lost.
func TestUnwritableLetterDoesNotBlockReload(t *testing.T) {
	q, err := OpenTest(t, Config{Dir: t.TempDir(), Partitions: 1})
	require.NoError(t, err)
	defer q.Close()
	r, err := NewRunner(t.Context(), q, Settings{Linger: time.Millisecond})
	require.NoError(t, err)
	setting, cancel := context.WithCancel(t.Context())
	defer func() { cancel(); r.Stop(setting) }() // even if the test has failed
	in := refusingInstance(t)
	require.NoError(t, r.SetInstances(t.Context(), []Instance{in}))
	q.dead.close()
	require.NoError(t, q.Append(t.Context(), []NewEvent{{Source: "web", Key: "u:u", Raw: []byte(`{"type":"track","userId":"u"}`)}}))
	w := r.workers["main"]
	require.Eventually(t, func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.partitions[0] != nil && w.partitions[0].pendingWrites > 0
	}, time.Minute, 5*time.Millisecond)
	ended := make(chan struct{})
	go func() { defer close(ended); assert.NoError(t, r.SetInstances(setting, nil)) }()
	select {
	case <-ended:
	case <-time.After(time.Minute):
		t.Fatal("the instance cannot be stopped")
	}
	q.dead = newPublisher(q, deadStream)
	require.NoError(t, r.SetInstances(t.Context(), []Instance{in}))
	require.Eventually(t, func() bool {
		n := 0
		return q.DeadLetters(t.Context(), DeadLetterFilter{}, func(*DeadLetter) error { n++; return nil }) == nil && n == 1
	}, time.Minute, 10*time.Millisecond)
}

// While a command's dead letters are read and started, they are neither parked nor in flight. Reconciling at that moment must not
// count them as forgotten and park their keys again.
func TestReconcileDoesNotUndoReplay(t *testing.T) {
	q, err := OpenTest(t, Config{Dir: t.TempDir(), Partitions: 1})
	require.NoError(t, err)
	defer q.Close()
	var working, replaying atomic.Bool
	var r *Runner
	r, err = NewRunner(t.Context(), q, Settings{
		Linger: time.Millisecond, RetryFor: time.Millisecond, MinBackoff: time.Millisecond, MaxBackoff: time.Millisecond,
		beforeMapping: func(event.Event) {
			if replaying.Load() {
				r.unparkEvicted()
			}
		},
	})
	require.NoError(t, err)
	defer func() { r.Stop(context.WithoutCancel(t.Context())) }()
	require.NoError(t, r.SetInstances(t.Context(), []Instance{answeringInstance(t, func() error {
		if working.Load() {
			return nil
		}
		return fault.FromStatus(500, "not now")
	})}))
	count := func(name string) int64 { return r.Status()[0].Counts[name] }
	for range 3 {
		require.NoError(t, q.Append(t.Context(), []NewEvent{{Source: "web", Key: "u:u", Raw: []byte(`{"type":"track","userId":"u"}`)}}))
	}
	require.Eventually(t, func() bool { return count(countParked) == 3 }, time.Minute, 5*time.Millisecond)
	working.Store(true)
	replaying.Store(true)
	_, err = q.ReplayDeadLetters(t.Context(), DeadLetterFilter{Parked: true})
	require.NoError(t, err)
	require.Eventually(t, func() bool { return count(countDelivered) == 3 && count(countParked) == 0 }, time.Minute, 5*time.Millisecond)
}
