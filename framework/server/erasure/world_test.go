package erasure_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
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
