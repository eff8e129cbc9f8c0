package delivery_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/delivery"
	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog/memlog"
	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/internal/pause"
	"github.com/landfall-dev/landfall/internal/testsize"
)

// The sharing world is one process with many instances that share the reads of a log.
const (
	sharingInstances  = 20
	sharingPartitions = 2
	largestSharedPage = 8000 // bytes in memory
	sharingPages      = 8000 // bytes of pages that are kept for each partition
)

// receivedEvent is an event that a remote has accepted.
type receivedEvent struct {
	n, kills int // number of the event, and how often the process was killed before
}

// sharingInstance is an instance and its remote.
type sharingInstance struct {
	world    *sharingWorld
	instance delivery.Instance
	number   int
	enabled  bool
	start    map[string]int // the first event of each user that it gets; nil until it is enabled
	gaps     bool           // events may have been deleted while it was not configured
	replays  bool           // events of the users to replay were replayed

	mu       sync.Mutex // guards received
	received map[string][]receivedEvent
}

type sharingWorld struct {
	t         *testing.T
	chance    func(n int) int // returns a random number below n
	store     *memlog.Store
	retention time.Duration
	queue     *delivery.Queue
	runner    *delivery.Runner
	kills     atomic.Int64     // how often the process was killed
	mayKill   bool             // it is killed, not only stopped
	accepted  map[string][]int // how often it was killed before an event was accepted, by user
	instances []*sharingInstance
	sent      map[string]int // events by user
	erasing   atomic.Bool
	erasedAll atomic.Bool // the erasure is complete
	working   atomic.Bool // the remotes no longer fail
}

// Twenty instances share the reads of a log. Some are slow, some fail, some ask for pauses, and their sources differ; they are removed, added
// again and restarted, the process is killed, events are replayed, deleted after their retention, and erased. Each instance gets all events of its
// sources, those of a user in order, and none twice unless the process was killed after it was accepted. What is kept in memory has a limit.
// LANDFALL_SEED repeats a run, as far as the order of goroutines allows; LANDFALL_STRESS is the number of runs.
func TestInstancesThatShareReads(t *testing.T) {
	first, runs := rand.Uint64(), stressRounds(testsize.Of(2, 1))
	if n, err := strconv.ParseUint(os.Getenv("LANDFALL_SEED"), 10, 64); err == nil {
		first, runs = n, 1
	}
	for i := range uint64(runs) {
		if !t.Run(fmt.Sprint("LANDFALL_SEED=", first+i), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { simulateSharing(t, first+i) })
		}) {
			return
		}
	}
}

func simulateSharing(t *testing.T, seed uint64) {
	w := newSharingWorld(t, seed)
	w.startRun()
	rounds := testsize.Of(40, 25)
	for n := range rounds {
		w.sendEvents()
		time.Sleep(time.Duration(w.chance(3000)) * time.Millisecond)
		w.changeSomething()
		if n == rounds/2 {
			w.erase()
		}
		kept, feeds := w.queue.SharedPages()
		assert.LessOrEqual(t, kept, sharingPartitions*sharingPages+feeds*largestSharedPage)
	}
	w.working.Store(true)
	for _, in := range w.instances {
		in.enabled = true
	}
	w.reload()
	for user := range sharingUsers {
		if user != "gone" {
			require.NoError(t, w.queue.Append(t.Context(), []delivery.NewEvent{w.nextEvent(user)}))
		}
	}
	require.Eventually(t, w.isComplete, time.Hour, time.Second)
	time.Sleep(time.Minute)
	stopRunner(t, w.runner)
	w.queue.Close()
	for _, in := range w.instances {
		in.check()
	}
}

func newSharingWorld(t *testing.T, seed uint64) *sharingWorld {
	random, mu := rand.New(rand.NewPCG(seed, 11)), sync.Mutex{}
	w := &sharingWorld{t: t, store: memlog.New(memlog.Options{}), sent: map[string]int{}, accepted: map[string][]int{}, retention: 24 * time.Hour, mayKill: seed%3 > 0}
	w.chance = func(n int) int {
		mu.Lock()
		defer mu.Unlock()
		return random.IntN(n)
	}
	if seed%2 == 0 {
		w.retention = 2 * time.Second
	}
	sources := [][]string{nil, {"web"}, {"app"}, {"web", "app"}, {"other", "app"}}
	r := newRemote(t)
	for i := range sharingInstances {
		in := &sharingInstance{world: w, number: i, enabled: i%4 != 3, received: map[string][]receivedEvent{}}
		plan := r.planOfInstance(fmt.Sprintf("i%d", i), "all", in.perform, `type = "track"`)
		in.instance = delivery.Instance{Plan: plan, Sources: sources[w.chance(len(sources))]}
		w.instances = append(w.instances, in)
	}
	return w
}

// perform behaves as the number of the instance says: some remotes are slow, fail, or ask for pauses until all of them work.
func (in *sharingInstance) perform(ctx context.Context, call destination.BatchCall[change, change]) (*destination.MultiStatus, error) {
	w, took := in.world, 20
	if in.number%5 == 1 && !w.working.Load() {
		took = 4000
	}
	if err := pause.For(ctx, time.Duration(w.chance(took))*time.Millisecond); err != nil {
		return nil, err
	}
	if !w.working.Load() && w.chance(3) > 0 {
		switch in.number % 5 {
		case 2:
			return nil, fault.FromStatus(http.StatusServiceUnavailable, "busy")
		case 3:
			pausing := fault.FromStatus(http.StatusTooManyRequests, "slower")
			pausing.RetryAfter = 5 * time.Second
			return nil, pausing
		}
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	for _, c := range call.Payloads {
		assert.Equal(w.t, fmt.Sprintf("g%d", c.n%3), c.group, "the event is changed")
		assert.False(w.t, c.id == "gone" && w.erasedAll.Load(), "an erased event is sent")
		in.received[c.id] = append(in.received[c.id], receivedEvent{c.n, int(w.kills.Load())})
	}
	return nil, nil
}

// startRun starts a process.
func (w *sharingWorld) startRun() {
	var err error
	w.queue, err = delivery.Open(w.t.Context(), delivery.Config{Partitions: sharingPartitions, Retention: w.retention}.On(&slowLog{Log: w.store.Connect(), chance: w.chance}))
	require.NoError(w.t, err)
	w.queue.LimitPages(sharingPages)
	s := quick
	s.TrimInterval, s.MaxInFlight, s.MaxAttempts = time.Second, 40, 1000
	s.Suppressed = func(v event.Value) bool { return v.Get("userId").Str() == "suppressed" }
	s.Erased = func(v event.Value) bool { return w.erasing.Load() && v.Get("userId").Str() == "gone" }
	w.runner, err = delivery.NewRunner(w.t.Context(), w.queue, s)
	require.NoError(w.t, err)
	w.reload()
}

// reload configures the enabled instances.
func (w *sharingWorld) reload() {
	var list []delivery.Instance
	for _, in := range w.instances {
		if !in.enabled {
			in.gaps = in.gaps || w.retention < time.Hour
			continue
		}
		if in.start == nil {
			in.start = maps.Clone(w.sent)
		}
		list = append(list, in.instance)
	}
	require.NoError(w.t, w.runner.SetInstances(w.t.Context(), list))
}

// sharingUsers are the users and the sources of their events, in turn. Only events of those that are named again are replayed.
var sharingUsers = map[string][]string{
	"u0": {"web"}, "u1": {"web"}, "u2": {"web", "web", "app"}, "u3": {"app"}, "u4": {"app", "other", "web"}, "u5": {"other"},
	"again0": {"web"}, "again1": {"app", "web"}, "gone": {"web", "other"}, "suppressed": {"app"},
}

func sourceOf(user string, n int) string { return sharingUsers[user][n%len(sharingUsers[user])] }

func (w *sharingWorld) nextEvent(user string) delivery.NewEvent {
	e := newEvent(user, w.sent[user])
	e.Source = sourceOf(user, w.sent[user])
	w.sent[user]++
	w.accepted[user] = append(w.accepted[user], int(w.kills.Load()))
	return e
}

// sendEvents accepts events, some of them in one page.
func (w *sharingWorld) sendEvents() {
	names := slices.Sorted(maps.Keys(sharingUsers))
	for range 1 + w.chance(4) {
		var batch []delivery.NewEvent
		for range 1 + w.chance(6) {
			user := names[w.chance(len(names))]
			if user == "gone" && w.erasing.Load() {
				continue
			}
			batch = append(batch, w.nextEvent(user))
		}
		require.NoError(w.t, w.queue.Append(w.t.Context(), batch))
	}
}

// changeSomething reloads, replays, restarts, or kills the process.
func (w *sharingWorld) changeSomething() {
	in := w.instances[w.chance(len(w.instances))]
	switch w.chance(8) {
	case 0, 1:
		for range 1 + w.chance(4) {
			other := w.instances[w.chance(len(w.instances))]
			other.enabled = !other.enabled
		}
		w.reload()
	case 2:
		in.instance.Version += "+"
		w.reload()
	case 3:
		stopRunner(w.t, w.runner)
		w.queue.Close()
		w.startRun()
	case 4:
		if !w.mayKill {
			return
		}
		w.runner.Kill()
		w.kills.Add(1)
		w.queue.Close()
		w.startRun()
	case 5:
		in.replays = true
		_, err := w.queue.Replay(w.t.Context(), delivery.ReplayRequest{
			Instance: in.instance.Plan.ID(), Sources: in.instance.Sources,
			Choose: func(v event.Value) bool { return strings.HasPrefix(v.Get("userId").Str(), "again") },
		})
		require.NoError(w.t, err)
	}
}

// erase erases a user. When it returns, nothing more of the user is sent.
func (w *sharingWorld) erase() {
	isGone := func(v event.Value) bool { return v.Get("userId").Str() == "gone" }
	w.erasing.Store(true)
	_, err := w.queue.Erase(w.t.Context(), delivery.EraseRequest{Match: isGone, HasUser: func(s string) bool { return strings.Contains(s, "gone") }})
	require.NoError(w.t, err)
	require.Eventually(w.t, func() bool { return !w.runner.IsSendingErased() }, time.Hour, 10*time.Millisecond)
	w.erasedAll.Store(true)
}

// gets reports whether the instance gets an event of a user.
func (in *sharingInstance) gets(user string, n int) bool {
	return user != "suppressed" && (len(in.instance.Sources) == 0 || slices.Contains(in.instance.Sources, sourceOf(user, n)))
}

// nextOf returns the first event of a user from n on that the instance gets, or how many were sent.
func (in *sharingInstance) nextOf(user string, n int) int {
	for n < in.world.sent[user] && !in.gets(user, n) {
		n++
	}
	return n
}

// lastOf returns the last event of a user that the instance gets, -1 for none.
func (in *sharingInstance) lastOf(user string) int {
	n := in.world.sent[user] - 1
	for n >= 0 && !in.gets(user, n) {
		n--
	}
	return n
}

// isComplete reports whether all instances have the newest event of each user.
func (w *sharingWorld) isComplete() bool {
	for _, in := range w.instances {
		in.mu.Lock()
		complete := true
		for user := range w.sent {
			last := in.lastOf(user)
			complete = complete && (last < in.start[user] || user == "gone" || slices.ContainsFunc(in.received[user], func(r receivedEvent) bool { return r.n == last }))
		}
		in.mu.Unlock()
		if !complete {
			return false
		}
	}
	return true
}

// check fails unless the instance has received what it must.
func (in *sharingInstance) check() {
	for user := range in.world.sent {
		list, place := in.received[user], fmt.Sprintf("i%d %v %s", in.number, in.instance.Sources, user)
		replayed := in.replays && strings.HasPrefix(user, "again")
		newest, known := in.start[user]-1, map[int]bool{}
		for _, r := range list {
			assert.True(in.world.t, in.gets(user, r.n), "%s: event %d is of another source or suppressed", place, r.n)
			if !replayed {
				killed := r.kills > in.world.accepted[user][r.n]
				assert.False(in.world.t, known[r.n] && !killed, "%s: event %d is sent twice: %v", place, r.n, list)
				assert.GreaterOrEqual(in.world.t, r.n, in.start[user], place)
			}
			if user != "gone" && !in.gaps {
				assert.LessOrEqual(in.world.t, r.n, in.nextOf(user, newest+1), "%s: event %d is lost or overtaken: %v", place, newest+1, list)
			}
			newest, known[r.n] = max(newest, r.n), true
		}
		if last := in.lastOf(user); user != "gone" && last >= in.start[user] {
			assert.Equal(in.world.t, last, newest, place)
		}
	}
}
