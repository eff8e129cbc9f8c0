package connect

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/runtime"
	"github.com/landfall-dev/landfall/framework/runtime/config"
)

// ledger is a remote that fails on demand and records the events it accepts.
type ledger struct {
	mu    sync.Mutex
	fail  func(subscription, id string) error
	taken map[string][]string // ids by subscription and user
}

type none struct{}

func (*none) Decode(event.Value) {}

type payload struct{ user, id string }

func (p *payload) Decode(v event.Value) { p.user, p.id = v.Get("user").Str(), v.Get("id").Str() }

// plan returns a plan that delivers every event twice, for two subscriptions, in batches of at most three.
func (l *ledger) plan(t *testing.T) *runtime.Plan {
	plugin := destination.Plugin{
		Definition: fstest.MapFS{destination.DefinitionFile: {Data: []byte(`
name: Ledger
slug: ledger
mode: cloud
authentication: {scheme: none}
actions:
  put:
    title: Put
    description: Puts an event.
    fields:
      user: {label: User, type: string, default: {"@path": $.userId}}
      id: {label: Id, type: string, default: {"@path": $.messageId}}
      batch_size: {label: Batch size, type: integer, default: 3}
`)}},
		Actions: map[string]destination.Action{"put": destination.Handle(destination.Handler[none, payload]{
			PerformBatch: func(_ context.Context, call destination.BatchCall[none, payload]) (*destination.MultiStatus, error) {
				l.mu.Lock()
				defer l.mu.Unlock()
				ms := destination.NewMultiStatus(len(call.Payloads))
				users := map[string]bool{}
				for i, p := range call.Payloads {
					if users[p.user] {
						return nil, errors.New("two events of a user in one request")
					}
					users[p.user] = true
					if err := l.fail(call.Subscription, p.id); err != nil {
						ms.Fail(i, err)
						continue
					}
					key := call.Subscription + " " + p.user
					l.taken[key] = append(l.taken[key], p.id)
					ms.Deliver(i)
				}
				return ms, nil
			},
		})},
	}
	d, err := plugin.Load()
	require.NoError(t, err)
	in := config.InstanceOf(event.MustParse(`{"id": "main", "destination": "ledger", "subscriptions": [
		{"name": "a", "action": "put", "subscribe": "type = \"track\""}, {"name": "b", "action": "put", "subscribe": "type = \"track\""}]}`))
	p, err := runtime.New(plugin, d, in, runtime.Host{})
	require.NoError(t, err)
	return p
}

func messageOf(user, id string) *message {
	raw := fmt.Appendf(nil, `{"type": "track", "userId": %q, "messageId": %q}`, user, id)
	return newMessage(raw, 0, func(e event.Event) string { return event.OrderingKey(e.Value()) })
}

func later() error { return fault.FromStatus(503, "later") }

// Each user's events are delivered once and in order, whichever of them fail, and in whichever order they come again.
func TestOrderIsKeptAndNothingIsLost(t *testing.T) {
	for seed := range uint64(30) {
		synctest.Test(t, func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 1))
			l := &ledger{taken: map[string][]string{}, fail: func(string, string) error {
				if random.IntN(3) == 0 {
					return later()
				}
				return nil
			}}
			s := sender{plans: []*runtime.Plan{l.plan(t)}, order: newOrder(time.Hour, time.Now), parallel: 4}
			if seed%2 == 1 {
				s.retryFor = time.Second
			}
			type source struct{ user, id string }
			var fresh, back []source
			want := map[string][]string{}
			for i := range 120 {
				e := source{fmt.Sprint("u", random.IntN(7)), fmt.Sprint("m", i)}
				fresh = append(fresh, e)
				for _, name := range []string{"a ", "b "} {
					want[name+e.user] = append(want[name+e.user], e.id)
				}
			}
			for rounds := 0; len(fresh)+len(back) > 0; rounds++ {
				require.Less(t, rounds, 10_000)
				random.Shuffle(len(back), func(i, j int) { back[i], back[j] = back[j], back[i] })
				n, m := min(len(fresh), random.IntN(9)), random.IntN(len(back)+1)
				batch := slices.Concat(back[:m], fresh[:n])
				back, fresh = slices.Clone(back[m:]), fresh[n:]
				var all []*message
				for _, e := range batch {
					all = append(all, messageOf(e.user, e.id))
				}
				s.sendAll(t.Context(), all)
				for i, m := range all {
					if !m.decided {
						back = append(back, batch[i])
					}
				}
				time.Sleep(time.Minute)
			}
			assert.Equal(t, want, l.taken)
			assert.Empty(t, s.order.queues)
			assert.Zero(t, s.order.held)
		})
	}
}

func TestOtherUsersContinue(t *testing.T) {
	l := &ledger{taken: map[string][]string{}, fail: func(_, id string) error {
		if id == "bad" {
			return later()
		}
		return nil
	}}
	s := sender{plans: []*runtime.Plan{l.plan(t)}, order: newOrder(time.Hour, time.Now), parallel: 4}
	all := []*message{messageOf("u1", "bad"), messageOf("u2", "x"), messageOf("u1", "behind")}
	s.sendAll(t.Context(), all)
	assert.Equal(t, []bool{false, true, false}, []bool{all[0].decided, all[1].decided, all[2].decided})
	assert.Contains(t, all[2].asError().Error(), "waits for an earlier event")
	assert.Contains(t, all[0].asError().Error(), "main a: later (retry, status 503)")
	assert.NotContains(t, l.taken, "a u1")
}

// A message that never comes again holds back its user's messages only for the hold time.
func TestHoldEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := true
		l := &ledger{taken: map[string][]string{}, fail: func(string, string) error {
			if broken {
				return later()
			}
			return nil
		}}
		s := sender{plans: []*runtime.Plan{l.plan(t)}, order: newOrder(time.Minute, time.Now), parallel: 1}
		s.sendAll(t.Context(), []*message{messageOf("u", "gone")})
		broken = false
		behind := messageOf("u", "behind")
		time.Sleep(50 * time.Second)
		s.sendAll(t.Context(), []*message{behind})
		require.False(t, behind.decided)
		time.Sleep(15 * time.Second)
		s.sendAll(t.Context(), []*message{behind})
		assert.True(t, behind.decided)
		assert.Equal(t, []string{"behind"}, l.taken["a u"])

		broken = true
		s.sendAll(t.Context(), []*message{messageOf("v", "gone")})
		time.Sleep(3 * time.Minute)
		s.order.removeExpired()
		assert.Zero(t, s.order.held, "v has no more messages")
	})
}

// With a hold of 0, a message that was given up holds back no other.
func TestNoHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tries := 0
		l := &ledger{taken: map[string][]string{}, fail: func(_, id string) error {
			if id == "bad" {
				tries++
				return later()
			}
			return nil
		}}
		s := sender{plans: []*runtime.Plan{l.plan(t)}, order: newOrder(0, time.Now), retryFor: 20 * time.Second, parallel: 1}
		start := time.Now()
		bad, behind := messageOf("u", "bad"), messageOf("u", "behind")
		s.sendAll(t.Context(), []*message{bad, behind})
		assert.False(t, bad.decided || behind.decided)
		assert.LessOrEqual(t, time.Since(start), 20*time.Second)
		assert.Greater(t, tries, 4)
		s.sendAll(t.Context(), []*message{behind})
		assert.True(t, behind.decided)
		assert.Empty(t, s.order.queues)
	})
}

// A message is not tried before the remote's Retry-After has passed.
func TestRetryAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tries := 0
		l := &ledger{taken: map[string][]string{}, fail: func(sub, _ string) error {
			if sub == "b" {
				return nil
			}
			tries++
			e := fault.FromStatus(429, "slowly")
			e.RetryAfter = time.Minute
			return e
		}}
		s := sender{plans: []*runtime.Plan{l.plan(t)}, order: newOrder(time.Hour, time.Now), parallel: 1}
		for range 10 {
			s.sendAll(t.Context(), []*message{messageOf("u", "m")})
			time.Sleep(time.Second)
		}
		assert.Equal(t, 1, tries)
		time.Sleep(time.Minute)
		s.sendAll(t.Context(), []*message{messageOf("u", "m")})
		assert.Equal(t, 2, tries)
		assert.Equal(t, []string{"m"}, l.taken["b u"], "the other subscription has it once")
	})
}
