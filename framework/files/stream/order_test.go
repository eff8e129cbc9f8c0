package stream_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
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
	"github.com/landfall-dev/landfall/framework/files/stream"
	"github.com/landfall-dev/landfall/framework/runtime"
	"github.com/landfall-dev/landfall/framework/runtime/config"
)

// orderedRemote answers at random and checks that no item is sent while an earlier one of its user may be sent again.
type orderedRemote struct {
	mu       sync.Mutex
	random   *rand.Rand
	t        *testing.T
	attempts int
	next     map[string][]string // the items of each user that have no outcome, in order
	tries    map[string]int
	requests int
}

// answer answers a batch of ids, each "user.number.subscription".
func (r *orderedRemote) answer(ids []string) (*destination.MultiStatus, error) {
	r.mu.Lock()
	users := map[string]bool{}
	for _, id := range ids {
		user, _, _ := strings.Cut(id, ".")
		assert.False(r.t, users[user], "two items of %s in a request: %v", user, ids)
		users[user] = true
		if assert.NotEmpty(r.t, r.next[user], "%s is sent again", id) {
			assert.Equal(r.t, r.next[user][0], id, "it overtakes an earlier one, or is sent again")
		}
		r.tries[id]++
	}
	r.requests++
	wait, whole := time.Duration(r.random.IntN(300))*time.Millisecond, r.random.IntN(5) == 0
	r.mu.Unlock()
	time.Sleep(wait)
	r.mu.Lock()
	defer r.mu.Unlock()
	ms := destination.NewMultiStatus(len(ids))
	for i, id := range ids {
		user, _, _ := strings.Cut(id, ".")
		final := false
		switch n := r.random.IntN(10); {
		case whole || n < 3:
			ms.Fail(i, fault.FromStatus(503, "down"))
			final = r.tries[id] == r.attempts
		case n == 3:
			ms.Fail(i, fault.FromStatus(400, "bad"))
			final = true
		default:
			ms.Deliver(i)
			final = true
		}
		if final && len(r.next[user]) > 0 {
			r.next[user] = r.next[user][1:]
		}
	}
	return ms, nil
}

// TestEachUserIsDeliveredInOrder delivers random events of few users through two subscriptions to a remote that fails at random: a
// request has at most one item of a user, and an item is sent when the earlier ones of its user have their outcome. Other users go on.
func TestEachUserIsDeliveredInOrder(t *testing.T) {
	for seed := range uint64(40) {
		synctest.Test(t, func(t *testing.T) {
			r := &orderedRemote{random: rand.New(rand.NewPCG(seed, 3)), t: t, attempts: 3, next: map[string][]string{}, tries: map[string]int{}}
			var lines strings.Builder
			items := 0
			users := 1 + r.random.IntN(8)
			for n := range 60 {
				user := fmt.Sprint("u", r.random.IntN(users))
				subs := []string{"s0", "s1", "s0 s1"}[r.random.IntN(3)]
				for _, s := range strings.Fields(subs) {
					r.next[user] = append(r.next[user], fmt.Sprintf("%s.%d.%s", user, n, s))
					items++
				}
				fmt.Fprintf(&lines, `{"userId":%q,"n":%d,"to":%q,"size":%d}`+"\n", user, n, subs, []int{1, 3, 10}[r.random.IntN(3)])
			}
			told := 0
			runner := stream.New(stream.Config{
				Plans: []*runtime.Plan{orderedPlan(t, r)}, Retry: stream.Retry{Attempts: r.attempts}, Parallel: 1 + r.random.IntN(4),
				OnEvent: func(e stream.Event) error { told += len(e.Verdicts); return nil },
			})
			require.NoError(t, runner.Run(t.Context(), strings.NewReader(lines.String())))
			assert.Equal(t, items, told, "each item has one verdict")
			for user, left := range r.next {
				assert.Empty(t, left, user)
			}
		})
		if t.Failed() {
			t.Fatal("seed ", seed)
		}
	}
}

// orderedPlan returns a plan with the subscriptions s0 and s1, which send the events whose field to names them.
func orderedPlan(t *testing.T, r *orderedRemote) *runtime.Plan {
	return planOf(t, r.answer, `{"id":"i","subscriptions":[`+strings.Join([]string{subscriptionTo("s0"), subscriptionTo("s1")}, ",")+`]}`)
}

func subscriptionTo(name string) string {
	return fmt.Sprintf(`{"name":%q,"action":"send","subscribe":"contains(to, \"%s\")","mapping":{"id":{"@template":"{{userId}}.{{n}}.%s"},"batch_size":{"@path":"$.size"}}}`, name, name, name)
}

// TestAFailedEventHoldsBackItsUser checks the order of requests when one event of a batch fails: later events of its user wait, in the
// same batch and in other subscriptions; those of other users do not.
func TestAFailedEventHoldsBackItsUser(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var sent []string
		failed := 0
		p := planOf(t, func(ids []string) (*destination.MultiStatus, error) {
			mu.Lock()
			defer mu.Unlock()
			sent = append(sent, strings.Join(ids, " "))
			ms := destination.NewMultiStatus(len(ids))
			for i, id := range ids {
				if strings.HasPrefix(id, "u.0") && failed < 2 {
					failed++
					ms.Fail(i, fault.FromStatus(503, "down"))
				} else {
					ms.Deliver(i)
				}
			}
			return ms, nil
		}, `{"id":"i","subscriptions":[`+subscriptionTo("s0")+","+subscriptionTo("s1")+`]}`)
		runner := stream.New(stream.Config{Plans: []*runtime.Plan{p}})
		require.NoError(t, runner.Run(t.Context(), strings.NewReader(`{"userId":"u","n":0,"to":"s0","size":10}
{"userId":"v","n":1,"to":"s0","size":10}
{"userId":"u","n":2,"to":"s0","size":10}
{"userId":"u","n":3,"to":"s1","size":10}
{"userId":"w","n":4,"to":"s1","size":10}`)))
		slices.Sort(sent[:2])
		assert.Equal(t, []string{"u.0.s0 v.1.s0", "w.4.s1", "u.0.s0", "u.0.s0", "u.2.s0", "u.3.s1"}, sent)
	})
}

// TestUsersOfSeveralInstances checks that an instance whose remote fails does not hold back the same user in another one, as long as no
// full batch of it waits, for which the reader waits, too.
func TestUsersOfSeveralInstances(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var began, delivered time.Time
		down := plan(t, func([]string) (*destination.MultiStatus, error) { return nil, fault.FromStatus(503, "down") }, `type = "a"`)
		works := plan(t, func([]string) (*destination.MultiStatus, error) { delivered = time.Now(); return nil, nil }, `type = "a"`)
		runner := stream.New(stream.Config{Plans: []*runtime.Plan{down, works}})
		began = time.Now()
		require.NoError(t, runner.Run(t.Context(), strings.NewReader(strings.Repeat(`{"type":"a","userId":"u","size":2}`+"\n", 3))))
		assert.Zero(t, delivered.Sub(began))
	})
}

// planOf returns a plan with a JSON config whose batches are handled by a function.
func planOf(t *testing.T, answer func(ids []string) (*destination.MultiStatus, error), in string) *runtime.Plan {
	p := destination.Plugin{
		Definition: fstest.MapFS{destination.DefinitionFile: {Data: []byte(definition)}},
		Actions: map[string]destination.Action{"send": destination.Handle(destination.Handler[record, record]{
			PerformBatch: func(_ context.Context, call destination.BatchCall[record, record]) (*destination.MultiStatus, error) {
				ids := make([]string, len(call.Payloads))
				for i := range ids {
					ids[i] = call.Payloads[i].id
				}
				return answer(ids)
			},
		})},
	}
	d, err := p.Load()
	require.NoError(t, err)
	made, err := runtime.New(p, d, config.InstanceOf(event.MustParse(in)), runtime.Host{})
	require.NoError(t, err)
	return made
}
