package erasure_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/destinations/braze"
	brazecohorts "github.com/landfall-dev/landfall/destinations/braze-cohorts"
	brazeweb "github.com/landfall-dev/landfall/destinations/braze-web"
	"github.com/landfall-dev/landfall/destinations/webhook"
	"github.com/landfall-dev/landfall/framework/delivery"
	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/runtime/config"
	"github.com/landfall-dev/landfall/framework/runtime/instances"
	"github.com/landfall-dev/landfall/framework/server/erasure"
	"github.com/landfall-dev/landfall/framework/server/history"
	"github.com/landfall-dev/landfall/framework/state"
)

const key = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="

const configText = `
state: {key: "` + key + `"}
destinations:
  - id: braze-main
    destination: braze-cohorts
    settings: {endpoint: "https://rest.iad-01.braze.com", client_secret: s, partner_api_key: p}
    subscriptions: [{name: Audiences, action: syncAudiences, mapping: {personas_audience_key: vip}}]
  - id: braze-users
    destination: braze
    settings: {endpoint: "https://rest.iad-01.braze.com", api_key: k}
    subscriptions: [{name: Users, action: updateUserProfile, subscribe: type = "identify"}]
  - id: hook
    destination: webhook
    settings: {}
    subscriptions:
      - {name: Deletions, action: send, subscribe: type = "delete", mapping: {url: "https://hook.example.com/in", data: {user: {"@path": $.userId}}}}
  - id: in-browsers
    destination: braze-web
    settings: {api_key: k, endpoint: sdk.iad-01.braze.com, sdkVersion: "5.4"}
    subscriptions: [{name: Users, action: updateUserProfile, subscribe: type = "delete"}]
  - id: other-hook
    destination: webhook
    settings: {}
    subscriptions:
      - {name: Tracks, action: send, subscribe: type = "track", mapping: {url: "https://hook.example.com/in", data: {}}}
`

var vip = destination.Audience{ID: "aud_1", Name: "vip"}

// world is what users are erased from: a state, a queue without deliveries, and two instances at a remote that can fail.
type world struct {
	t         *testing.T
	dir       string
	store     *state.Store
	queue     *delivery.Queue
	cfg       *config.Config
	instances []instances.Instance
	fails     atomic.Bool // the remote
	refuses   atomic.Bool // the remote, every request
	paths     []string    // of requests that succeeded
	removed   map[string]bool
	hold      atomic.Pointer[func()] // called for the next request; may be nil
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, dir: t.TempDir(), removed: map[string]bool{}}
	simulated := braze.Plugin().Sandbox.New(nil)
	remote := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if hold := w.hold.Swap(nil); hold != nil {
			(*hold)()
		}
		if w.fails.Load() {
			http.Error(rw, "down, as gone-1 knows", http.StatusServiceUnavailable)
			return
		}
		if w.refuses.Load() {
			http.Error(rw, "refused", http.StatusBadRequest)
			return
		}
		if w.paths = append(w.paths, r.URL.Path); r.URL.Path == "/in" {
			return
		}
		simulated.ServeHTTP(rw, r)
	}))
	t.Cleanup(remote.Close)
	cfg, problems := config.Parse("landfall.yaml", []byte(configText), config.Env{})
	require.Empty(t, problems)
	w.cfg = cfg
	var err error
	w.store, err = state.Open(t.Context(), w.dir)
	require.NoError(t, err)
	t.Cleanup(func() { _ = w.store.Close() })
	w.queue, err = delivery.Open(t.Context(), delivery.Config{Dir: filepath.Join(w.dir, "queue")})
	require.NoError(t, err)
	t.Cleanup(w.queue.Close)
	w.instances, err = instances.Load(cfg, nil, instances.Options{
		Target: &instances.Target{SandboxURL: remote.URL}, Catalog: instances.Catalog{Plugins: []destination.Plugin{braze.Plugin(), brazecohorts.Plugin(), brazeweb.Plugin(), webhook.Plugin()}}, Store: w.store,
	})
	require.NoError(t, err)
	return w
}

// newRunner starts deliveries to an instance. The caller stops them.
func (w *world) newRunner(instance string, settings delivery.Settings) *delivery.Runner {
	runner, err := delivery.NewRunner(w.t.Context(), w.queue, settings)
	require.NoError(w.t, err)
	for _, in := range w.instances {
		if in.Plan.ID() == instance {
			require.NoError(w.t, runner.SetInstances(w.t.Context(), []delivery.Instance{{Plan: in.Plan}}))
		}
	}
	return runner
}

func (w *world) desk() erasure.Desk {
	return erasure.Desk{Store: w.store, Config: func() *config.Config { return w.cfg }}
}

func (w *world) config() erasure.Config {
	return erasure.Config{
		Store: w.store, Queue: w.queue, Flush: func(context.Context) {}, Settle: 1, Backoff: func(int) time.Duration { return 0 }, Log: slog.New(slog.DiscardHandler),
		Instances: func() []instances.Instance {
			var list []instances.Instance
			for _, in := range w.instances {
				if !w.removed[in.Plan.ID()] {
					list = append(list, in)
				}
			}
			return list
		},
		HasConfig: func(id string) bool { return !w.removed[id] },
		StateKey:  func() string { return w.cfg.StateKey },
	}
}

// fill stores events, memberships and rejected events of users.
func (w *world) fill(users ...string) {
	var list []delivery.NewEvent
	var changes []destination.Change
	h := history.New(history.Config{Store: w.store})
	for _, user := range users {
		raw := fmt.Sprintf(`{"type":"identify","userId":%q,"messageId":"m-%[1]s","receivedAt":%[2]q,"traits":{"email":"%[1]s@example.com"}}`, user, time.Now().Add(-time.Minute).UTC().Format(time.RFC3339Nano))
		list = append(list, delivery.NewEvent{Source: "web", Key: "u:same", Raw: []byte(raw)})
		changes = append(changes, destination.Change{Identity: "external_id:" + user, Member: true, At: time.Now().Add(-time.Minute)})
		h.AddRejection("web", event.MustParse(fmt.Sprintf(`{"type":"trakc","userId":%q}`, user)), "unknown type")
		h.AddVerdict(delivery.VerdictRecord{
			At: time.Now(), Instance: "braze-users", Outcome: "dead", Seq: 1, Key: "u:" + user, Reason: "the user " + user + " is unknown", Request: &delivery.Exchange{Method: "POST", Body: `{"id":"` + user + `"}`},
		})
	}
	h.Close()
	require.NoError(w.t, w.queue.Append(w.t.Context(), list))
	ledger := w.store.Ledger("braze-main")
	require.NoError(w.t, ledger.MarkUncertain(w.t.Context(), vip, changes))
	require.NoError(w.t, ledger.Record(w.t.Context(), vip, changes))
	require.NoError(w.t, ledger.Put(w.t.Context(), "resync/aud_1", "external_id:"+users[0]))
}

// events returns the userIds of the stored events.
func (w *world) events() (users []string) {
	require.NoError(w.t, w.queue.EachStored(w.t.Context(), func(raw []byte) {
		e, err := event.Parse(raw)
		require.NoError(w.t, err)
		users = append(users, e.Value().Get("userId").Str())
	}))
	return users
}

func (w *world) request(users ...erasure.User) []erasure.Receipt {
	list, err := w.desk().Request(w.t.Context(), erasure.Order{Users: users, By: "test"})
	require.NoError(w.t, err)
	return list
}

func (w *world) receipt(id string) erasure.Receipt {
	r, err := w.desk().Find(w.t.Context(), id)
	require.NoError(w.t, err)
	return r
}

// step returns a step of a receipt.
func step(t *testing.T, r erasure.Receipt, name, instance string) erasure.Step {
	for _, s := range r.Steps {
		if s.Name == name && s.Instance == instance {
			return s
		}
	}
	require.Fail(t, "no such step", "%s %s in %+v", name, instance, r.Steps)
	return erasure.Step{}
}

// checkErased checks that nothing is left of gone-1, and everything of the others.
func (w *world) checkErased() {
	assert.Equal(w.t, []string{"stays-1", "stays-2"}, w.events())
	sizes, err := w.store.Ledger("braze-main").Sizes(w.t.Context())
	require.NoError(w.t, err)
	assert.Equal(w.t, 2, sizes[0].Members)
	_, _, ok, err := w.store.Ledger("braze-main").Find(w.t.Context(), "aud_1", "external_id:gone-1")
	require.NoError(w.t, err)
	assert.False(w.t, ok)
	var rejected []string
	require.NoError(w.t, history.Rejections(w.t.Context(), w.store, func(r history.Rejection) bool { rejected = append(rejected, r.Event); return true }))
	assert.Len(w.t, rejected, 2)
	verdicts, err := history.Verdicts(w.t.Context(), w.store, []history.Position{{Seq: 1}})
	require.NoError(w.t, err)
	list := verdicts[history.Position{Seq: 1}]
	assert.Len(w.t, list, 3, "the verdicts stay")
	for _, v := range list {
		assert.NotContains(w.t, v.Reason, "gone-1")
		if v.Batch != nil {
			for _, x := range v.Batch.Requests {
				assert.NotContains(w.t, x.Body, "gone-1")
			}
		}
	}
	value, _, err := w.store.Ledger("braze-main").Get(w.t.Context(), "resync/aud_1")
	require.NoError(w.t, err)
	assert.Empty(w.t, value)
	assert.Empty(w.t, filesWith(w.t, w.dir, "gone-1"))
}

var gone = erasure.User{Identifiers: []string{"gone-1"}, AnonymousIDs: []string{"anon-1"}}

// TestErasedWhenTheRemoteIsBack erases a user while the remote is down: what is local is erased at once, the rest is listed with its cause, and
// done when the remote is back.
func TestErasedWhenTheRemoteIsBack(t *testing.T) {
	w := newWorld(t)
	w.fill("gone-1", "stays-1", "stays-2")
	w.fails.Store(true)
	id := w.request(gone)[0].ID
	require.Equal(t, "pending", w.receipt(id).State())
	require.NoError(t, erasure.RunOnce(t.Context(), w.config()))
	r := w.receipt(id)
	assert.Equal(t, "failing", r.State())
	for _, s := range []erasure.Step{step(t, r, erasure.StepAudiences, "braze-main"), step(t, r, erasure.StepDestination, "braze-users"), step(t, r, erasure.StepLedger, "")} {
		assert.False(t, s.Done, s.Name)
		assert.NotEmpty(t, s.Error, s.Name)
		assert.NotContains(t, s.Error, "gone-1", s.Name)
	}
	for _, name := range []string{erasure.StepFind, erasure.StepLetters, erasure.StepHistory, erasure.StepLog} {
		assert.True(t, step(t, r, name, "").Done, name)
	}
	assert.Equal(t, []string{"stays-1", "stays-2"}, w.events())
	w.fails.Store(false)
	require.NoError(t, erasure.RunOnce(t.Context(), w.config()))
	r = w.receipt(id)
	assert.Equal(t, "done", r.State(), "%+v", r.Steps)
	assert.Equal(t, 2, r.Attempts)
	assert.Equal(t, map[string]int{"events": 1}, step(t, r, erasure.StepFind, "").Counts)
	assert.Equal(t, map[string]int{"exits": 1}, step(t, r, erasure.StepAudiences, "braze-main").Counts)
	assert.Equal(t, map[string]int{"deletions": 1, "unsupported": 1}, step(t, r, erasure.StepDestination, "braze-users").Counts)
	assert.Equal(t, 1, step(t, r, erasure.StepLedger, "").Counts["memberships"])
	assert.Contains(t, w.paths, "/users/delete")
	assert.Equal(t, map[string]int{"deletions": 2}, step(t, r, erasure.StepDestination, "hook").Counts)
	for _, s := range r.Steps {
		assert.NotEqual(t, "other-hook", s.Instance)
	}
	w.checkErased()
	mine, err := w.desk().List(t.Context(), "anon-1")
	require.NoError(t, err)
	assert.Len(t, mine, 1)
	others, err := w.desk().List(t.Context(), "stays-1")
	require.NoError(t, err)
	assert.Empty(t, others)
}

var errEnded = errors.New("the process has ended")

// TestErasedByProcessesThatEnd ends the process after each step. The next one continues.
func TestErasedByProcessesThatEnd(t *testing.T) {
	w := newWorld(t)
	w.fill("gone-1", "stays-1", "stays-2")
	id := w.request(gone)[0].ID
	ended := 0
	for w.receipt(id).DoneAt == nil {
		require.Less(t, ended, 30)
		err := erasure.RunUntil(t.Context(), w.config(), func(string) error { return errEnded })
		if err != nil {
			require.ErrorIs(t, err, errEnded)
			ended++
		}
	}
	assert.GreaterOrEqual(t, ended, 7, "after each step")
	w.checkErased()
}

// TestNumericIdentifier erases a user whose identifier is a number that is also a position, a count and a part of other texts.
func TestNumericIdentifier(t *testing.T) {
	w := newWorld(t)
	w.fill("1", "stays-1", "stays-2")
	require.NoError(t, history.AddAction(t.Context(), w.store, history.Action{At: time.Now(), Name: "letters.replay", Attributes: map[string]string{"count": "1"}}))
	require.NoError(t, w.store.Ledger("braze-users").Put(t.Context(), "operation", `{"page":1}`))
	id := w.request(erasure.User{Identifiers: []string{"1"}})[0].ID
	require.NoError(t, erasure.RunOnce(t.Context(), w.config()))
	require.Equal(t, "done", w.receipt(id).State(), "%+v", w.receipt(id).Steps)
	assert.Equal(t, []string{"stays-1", "stays-2"}, w.events())
	actions, err := history.Actions(t.Context(), w.store, time.Time{}, 10)
	require.NoError(t, err)
	assert.Len(t, actions, 1)
	verdicts, err := history.Verdicts(t.Context(), w.store, []history.Position{{Seq: 1}})
	require.NoError(t, err)
	requests := 0
	for _, v := range verdicts[history.Position{Seq: 1}] {
		assert.NotContains(t, v.Reason, "user 1 ")
		if v.Batch != nil {
			requests += len(v.Batch.Requests)
		}
	}
	assert.Equal(t, 0+len(verdicts[history.Position{Seq: 1}])-1, requests, "those of others stay")
	n := 0
	require.NoError(t, history.Rejections(t.Context(), w.store, func(history.Rejection) bool { n++; return true }))
	assert.Equal(t, 2, n)
	_, ok, err := w.store.Ledger("braze-users").Get(t.Context(), "operation")
	require.NoError(t, err)
	assert.True(t, ok)
	value, _, err := w.store.Ledger("braze-main").Get(t.Context(), "resync/aud_1")
	require.NoError(t, err)
	assert.Empty(t, value, "an identity of the user")
}

// TestUserWhoComesBack keeps what is received after the request.
func TestUserWhoComesBack(t *testing.T) {
	w := newWorld(t)
	w.fill("gone-1", "stays-1", "stays-2")
	id := w.request(gone)[0].ID
	later := time.Now().Add(time.Second).UTC()
	raw := fmt.Sprintf(`{"type":"identify","userId":"gone-1","messageId":"later","receivedAt":%q}`, later.Format(time.RFC3339Nano))
	require.NoError(t, w.queue.Append(t.Context(), []delivery.NewEvent{{Source: "web", Key: "u:same", Raw: []byte(raw)}}))
	watcher, err := erasure.NewWatcher(t.Context(), w.store, func() string { return key }, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	defer watcher.Close()
	assert.False(t, watcher.HasEvent(event.MustParse(raw)))
	assert.True(t, watcher.HasEvent(event.MustParse(`{"userId":"gone-1","receivedAt":"2026-01-02T03:04:05.000Z"}`)))
	assert.False(t, watcher.HasEvent(event.MustParse(`{"userId":"gone-2"}`)))
	require.NoError(t, erasure.RunOnce(t.Context(), w.config()))
	assert.NotNil(t, w.receipt(id).DoneAt)
	assert.Equal(t, []string{"stays-1", "stays-2", "gone-1"}, w.events())
}

// TestRemovedInstance lists an instance that can no longer send exits, until its data is deleted.
func TestRemovedInstance(t *testing.T) {
	w := newWorld(t)
	w.fill("gone-1", "stays-1", "stays-2")
	w.removed["braze-main"] = true
	id := w.request(gone)[0].ID
	require.NoError(t, erasure.RunOnce(t.Context(), w.config()))
	assert.Contains(t, step(t, w.receipt(id), erasure.StepAudiences, "braze-main").Error, "landfall instances forget braze-main")
	require.NoError(t, w.store.Ledger("braze-main").Forget(t.Context()))
	require.NoError(t, erasure.RunOnce(t.Context(), w.config()))
	assert.Equal(t, "done", w.receipt(id).State(), "%+v", w.receipt(id).Steps)
	assert.True(t, step(t, w.receipt(id), erasure.StepAudiences, "braze-main").Done)
	assert.Empty(t, filesWith(t, w.dir, "gone-1"))
}

// TestReceiptsAndOrders checks what is stored of an order, what is refused, and how long receipts are kept.
func TestReceiptsAndOrders(t *testing.T) {
	w := newWorld(t)
	for reason, order := range map[string]erasure.Order{
		"1 to 1000 users":      {},
		"no identifier":        {Users: []erasure.User{{Identifiers: []string{" "}}}},
		"longer than":          {Users: []erasure.User{{Identifiers: []string{strings.Repeat("x", 70_000)}}}},
		"at most 50 are allow": {Users: []erasure.User{{Identifiers: strings.Split(strings.Repeat("a,b,c,d,e,f,g,h,i,j,", 3)+strings.Join(numbers(51), ","), ",")}}},
	} {
		_, err := w.desk().Request(t.Context(), order)
		var wrong *erasure.OrderError
		require.ErrorAs(t, err, &wrong, reason)
		assert.Contains(t, err.Error(), reason)
	}
	id := w.request(erasure.User{Identifiers: []string{"gone-1", "Ann@Example.com", "gone-1"}})[0].ID
	assert.Empty(t, filesWith(t, w.dir, "gone-1"), "the request is encrypted")
	assert.Len(t, w.receipt(id).Identifiers, 2)
	was := w.cfg.StateKey
	w.cfg.StateKey = "HB4dHBsaGRgXFhUUExIREA8ODQwLCgkIBwYFBAMCAQA="
	require.NoError(t, erasure.RunOnce(t.Context(), w.config()))
	assert.Contains(t, step(t, w.receipt(id), erasure.StepFind, "").Error, "restore state.key")
	w.cfg.StateKey = was
	require.NoError(t, w.store.TrimErasures(t.Context(), time.Now().Add(time.Hour)))
	require.Len(t, mustList(t, w), 1, "it is not done")
	_, err := w.desk().Find(t.Context(), "none")
	require.ErrorIs(t, err, erasure.ErrUnknown)
	second := w.request(gone)[0].ID
	require.NoError(t, erasure.RunOnce(t.Context(), w.config()))
	require.NotNil(t, w.receipt(second).DoneAt)
	require.NoError(t, w.store.TrimErasures(t.Context(), time.Now().Add(time.Hour)))
	assert.Len(t, mustList(t, w), 1)
	assert.Equal(t, "1 erasure: 0 done, 1 failing, 0 pending", erasure.Summary(mustList(t, w)))
}

func mustList(t *testing.T, w *world) []erasure.Receipt {
	list, err := w.desk().List(t.Context())
	require.NoError(t, err)
	return list
}

func numbers(n int) (list []string) {
	for i := range n {
		list = append(list, fmt.Sprint(i))
	}
	return list
}
