package delivery

import (
	"context"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/config"
	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/runtime"
)

type nothing struct{}

func (*nothing) Decode(event.Value) {}

// refusing is an instance whose remote refuses everything.
func refusing(t *testing.T) Instance {
	p := destination.Plugin{
		Definition: fstest.MapFS{destination.DefinitionFile: {Data: []byte("name: Acme\nslug: acme\nmode: cloud\nauthentication: {scheme: none}\n" +
			"actions:\n  send:\n    title: Send\n    fields:\n      id: {label: ID, type: string, default: {\"@path\": $.userId}}\n")}},
		Actions: map[string]destination.Action{"send": destination.Handle(destination.Handler[nothing, nothing]{
			Perform: func(context.Context, destination.Call[nothing, nothing]) (*destination.Response, error) {
				return nil, fault.FromStatus(400, "never")
			},
		})},
	}
	d, err := p.Load()
	require.NoError(t, err)
	in := config.InstanceOf(event.MustParse(`{"id":"main","subscriptions":[{"name":"all","action":"send","subscribe":"type = \"track\""}]}`))
	plan, err := runtime.New(p, d, in, runtime.Host{})
	require.NoError(t, err)
	return Instance{Plan: plan}
}

// Where a letter cannot be written, an instance can be stopped and changed all the same; its event is not lost.
func TestALetterThatCannotBeWrittenHoldsUpNoReload(t *testing.T) {
	q, err := Open(t.Context(), Config{Dir: t.TempDir(), Partitions: 1})
	require.NoError(t, err)
	defer q.Close()
	r, err := NewRunner(t.Context(), q, Settings{Linger: time.Millisecond})
	require.NoError(t, err)
	setting, cancel := context.WithCancel(t.Context())
	defer func() { cancel(); r.Stop(setting) }() // also where nothing ends by itself
	in := refusing(t)
	require.NoError(t, r.Set(t.Context(), []Instance{in}))
	q.dead.close()
	require.NoError(t, q.Append(t.Context(), []Accepted{{Source: "web", Key: "u:u", Raw: []byte(`{"type":"track","userId":"u"}`)}}))
	w := r.workers["main"]
	require.Eventually(t, func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.parts[0] != nil && w.parts[0].aside > 0
	}, 10*time.Second, 5*time.Millisecond)
	ended := make(chan struct{})
	go func() { defer close(ended); assert.NoError(t, r.Set(setting, nil)) }()
	select {
	case <-ended:
	case <-time.After(30 * time.Second):
		t.Fatal("the instance cannot be stopped")
	}
	q.dead = newPublisher(q, deadStream)
	require.NoError(t, r.Set(t.Context(), []Instance{in}))
	require.Eventually(t, func() bool {
		n := 0
		return q.Letters(t.Context(), Filter{}, func(*Letter) error { n++; return nil }) == nil && n == 1
	}, 10*time.Second, 10*time.Millisecond)
}
