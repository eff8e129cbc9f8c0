package server

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/destinations"
	"github.com/landfall-dev/landfall/framework/delivery"
	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/runtime/config"
	"github.com/landfall-dev/landfall/framework/runtime/instances"
	"github.com/landfall-dev/landfall/framework/server/erasure"
	"github.com/landfall-dev/landfall/framework/server/history"
	"github.com/landfall-dev/landfall/framework/server/ingest"
)

// load makes the instances of a config the running ones.
func (v *server) load(t *testing.T, text string) *config.Config {
	t.Helper()
	cfg := v.setConfig(t, text)
	v.hosting = instances.Options{Target: &instances.Target{Sandbox: true}, Catalog: instances.Catalog{Plugins: destinations.All()}, Store: v.store}
	list, err := instances.Load(cfg, nil, v.hosting)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, instances.Close(t.Context(), list)) })
	v.running.Store(&list)
	return cfg
}

// TestSizesOfAudiences checks which instances have audiences, and how many members they have.
func TestSizesOfAudiences(t *testing.T) {
	v, _ := newParts(t, firstConfig)
	v.load(t, servedConfig+"  - {id: hook, destination: webhook, subscriptions: []}\n")
	sizes, err := v.audienceSizes(t.Context())
	require.NoError(t, err)
	assert.Equal(t, history.Sizes{"cohorts": {}}, sizes)
	change := []destination.Change{{Identity: "external_id:a", Member: true, At: time.Now()}, {Identity: "external_id:b", Member: true, At: time.Now()}}
	require.NoError(t, v.store.Ledger("cohorts").Record(t.Context(), destination.Audience{ID: "vips", Name: "VIPs"}, change))
	sizes, err = v.audienceSizes(t.Context())
	require.NoError(t, err)
	assert.Equal(t, history.Sizes{"cohorts": {"vips": 2}}, sizes)
	require.NoError(t, v.store.Close())
	_, err = v.audienceSizes(t.Context())
	assert.Error(t, err)
	assert.ErrorContains(t, v.stateCheck().Run(t.Context()), "the ledger does not answer")
}

// TestErasuresOfManyUsers checks that every user of a batch is erased, however many an order can have.
func TestErasuresOfManyUsers(t *testing.T) {
	v, _ := newParts(t, servedConfig)
	var events []event.Value
	for i := range erasure.MaxUsers + 2 {
		events = append(events, event.MustParse(fmt.Sprintf(`{"type":"delete","userId":"u%d"}`, i)))
	}
	require.NoError(t, v.eraseUsers(t.Context(), "web", events))
	for user, known := range map[string]bool{"u0": true, "u999": true, "u1000": true, "u1001": true, "u1002": false} {
		list, err := v.erasures().List(t.Context(), user)
		require.NoError(t, err)
		require.Equal(t, known, len(list) == 1, user)
		if known {
			assert.Equal(t, "source web", list[0].RequestedBy)
		}
	}
	v.setConfig(t, firstConfig)
	assert.Error(t, v.eraseUsers(t.Context(), "web", events[:1]), "without a key identifiers cannot be kept")
}

// TestErasedWhileReceived checks that an event is not stored if its user was erased while it was received.
func TestErasedWhileReceived(t *testing.T) {
	v, log := newParts(t, servedConfig)
	require.NoError(t, v.eraseUsers(t.Context(), "web", []event.Value{event.MustParse(`{"type":"delete","userId":"gone"}`)}))
	var err error
	v.erasing, err = erasure.NewWatcher(t.Context(), v.store, v.stateKey, v.Log)
	require.NoError(t, err)
	defer v.erasing.Close()
	var events []ingest.Event
	for _, user := range []string{"gone", "stays"} {
		raw := `{"type":"track","event":"A","userId":"` + user + `","receivedAt":"2020-01-01T00:00:00Z"}`
		events = append(events, ingest.Event{Source: "web", Value: event.MustParse(raw), Raw: []byte(raw)})
	}
	require.NoError(t, v.appendEvents(t.Context(), events[:1]))
	require.NoError(t, v.appendEvents(t.Context(), events))
	for user, n := range map[string]int{"gone": 0, "stays": 1} {
		found, _, err := v.queue.Latest(t.Context(), user, 10)
		require.NoError(t, err)
		assert.Len(t, found, n, user)
	}
	assert.Empty(t, log.String())
}

// TestDataOfRenamedInstances checks that the ledger and the queue of an instance move to its new id.
func TestDataOfRenamedInstances(t *testing.T) {
	v, _ := newParts(t, firstConfig)
	v.startRunner(t)
	change := []destination.Change{{Identity: "external_id:a", Member: true, At: time.Now()}}
	require.NoError(t, v.store.Ledger("old").Record(t.Context(), destination.Audience{ID: "vips", Name: "VIPs"}, change))
	require.Len(t, v.removedInstances(), 1)
	require.NoError(t, v.moveInstance(t.Context(), "old", "a"))
	assert.Empty(t, v.removedInstances())
	content, err := v.store.Ledger("a").Content(t.Context())
	require.NoError(t, err)
	assert.Equal(t, 1, content.Members)
	require.NoError(t, v.store.Close())
	assert.Error(t, v.moveInstance(t.Context(), "old", "a"))
	assert.Error(t, v.forgetInstance(t.Context(), "old"))
}

// TestWhereTheAdminPortIs checks what the port of events says of the admin listener: its address only if other machines cannot reach it.
func TestWhereTheAdminPortIs(t *testing.T) {
	answer := func(at *listeners) string {
		w := httptest.NewRecorder()
		movedTo(at).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
		assert.Equal(t, http.StatusNotFound, w.Code)
		assert.Equal(t, "text/plain; charset=utf-8", w.Header().Get("Content-Type"))
		return w.Body.String()
	}
	ingest := boundTo{address: net.TCPAddr{IP: net.IPv4zero, Port: 8080}}
	private, open := boundTo{address: net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 8081}}, boundTo{address: net.TCPAddr{IP: net.IPv4(10, 0, 0, 1), Port: 8081}}
	socket, err := Listen(UnixPrefix + filepath.Join(t.TempDir(), "s"))
	require.NoError(t, err)
	defer socket.Close()
	for _, c := range []struct {
		at              *listeners
		private         bool
		url, said, hide string
	}{
		{&listeners{ingest: ingest, admin: private}, true, "http://127.0.0.1:8081", "at http://127.0.0.1:8081 on the server's machine", "8080"},
		{&listeners{ingest: ingest, admin: open}, false, "http://10.0.0.1:8081", "at the address of admin.listen", "10.0.0.1"},
		{&listeners{ingest: ingest, admin: socket}, true, UnixPrefix + socket.Addr().String(), "at the address of admin.listen", socket.Addr().String()},
		{&listeners{ingest: ingest}, false, "http://127.0.0.1:8080", "at the address of admin.listen", "8080"},
	} {
		assert.Equal(t, c.private, c.at.hasPrivateAdmin())
		assert.Equal(t, c.url, c.at.adminURL())
		assert.Contains(t, answer(c.at), c.said)
		assert.NotContains(t, answer(c.at), c.hide)
	}
	assert.Equal(t, "http://[::1]:80", AddressURL(&net.TCPAddr{IP: net.IPv6loopback, Port: 80}))
	assert.Equal(t, "http://127.0.0.1:80", AddressURL(&net.TCPAddr{Port: 80, IP: net.IPv6zero}))
	assert.Equal(t, "pipe", AddressURL(pipeAddr{}))
	assert.False(t, isPrivate(pipeAddr{}))
}

// pipeAddr is an address without a host.
type pipeAddr struct{}

func (pipeAddr) Network() string { return "pipe" }
func (pipeAddr) String() string  { return "pipe" }

// TestListenersAreClosed checks that listeners are closed once, and that an error is reported.
func TestListenersAreClosed(t *testing.T) {
	l := &listeners{removeAddress: func() {}}
	require.NoError(t, l.close())
	var err error
	l.ingest, err = Listen("127.0.0.1:0")
	require.NoError(t, err)
	l.admin, err = Listen("127.0.0.1:0")
	require.NoError(t, err)
	for range 2 {
		require.NoError(t, l.close())
	}
	for _, listener := range []net.Listener{l.ingest, l.admin} {
		assert.ErrorIs(t, listener.Close(), net.ErrClosed)
	}
	l.admin = failingListener{}
	assert.ErrorIs(t, l.close(), io.ErrUnexpectedEOF)
}

type failingListener struct{ net.Listener }

func (failingListener) Close() error { return io.ErrUnexpectedEOF }

// TestAddressFileOfAnotherServer checks that a server removes only its own address file, and what is said of a damaged one.
func TestAddressFileOfAnotherServer(t *testing.T) {
	dir := t.TempDir()
	v := &server{Options: Options{Data: filepath.Join(dir, "data"), Target: instances.Target{Sandbox: true}}, token: "mine"}
	at := &listeners{ingest: boundTo{address: net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 8080}}}
	cfg := v.setConfig(t, firstConfig)
	forget, err := v.writeAddressFile(cfg, at)
	require.NoError(t, err)
	read, err := ReadAddress(v.Data)
	require.NoError(t, err)
	assert.Equal(t, Address{URL: "http://127.0.0.1:8080", Ingest: "http://127.0.0.1:8080", Token: "mine", Sandbox: v.Target.SandboxName()}, read)
	file := filepath.Join(v.Data, AddressFile)
	require.NoError(t, os.WriteFile(file, []byte(`{"url":"http://127.0.0.1:8080","token":"another"}`), 0o600))
	forget()
	assert.FileExists(t, file)
	forget, err = v.writeAddressFile(cfg, at)
	require.NoError(t, err)
	forget()
	assert.NoFileExists(t, file)
	_, err = ReadAddress(v.Data)
	assert.ErrorIs(t, err, os.ErrNotExist)
	require.NoError(t, os.WriteFile(file, []byte("{"), 0o600))
	_, err = ReadAddress(v.Data)
	assert.ErrorContains(t, err, "is damaged: delete it")
	v.Data = file
	_, err = v.writeAddressFile(cfg, at)
	assert.Error(t, err, "the data directory is a file")
}

// TestQueueOfAConfig checks which settings of a config the queue has, and that a queue of a target is not used for another one.
func TestQueueOfAConfig(t *testing.T) {
	dir := t.TempDir()
	cfg, problems := config.Parse(filepath.Join(dir, "landfall.yaml"), []byte(firstConfig+`
delivery: {partitions: 3, retention: 24h, maxBytes: 100000000, minFreeBytes: 5000000, maxMemoryBytes: 90000000}
`), config.Env{})
	require.Empty(t, problems)
	c := QueueConfig(cfg, "", "", nil)
	assert.Equal(t, delivery.Config{Dir: filepath.Join(dir, instances.DefaultData, instances.QueueDir), Partitions: 3, Retention: 24 * time.Hour, MaxBytes: 100_000_000, MinFreeBytes: 5_000_000, MaxMemory: 90_000_000}, c)
	assert.NotEqual(t, c.Dir, QueueConfig(cfg, "", "sandbox", nil).Dir)
	assert.Equal(t, filepath.Join("/data", instances.QueueDir), QueueConfig(cfg, "/data", "", nil).Dir)
	cfg.Server.Credentials = "nats.creds"
	assert.Equal(t, filepath.Join(dir, "nats.creds"), QueueConfig(cfg, "", "", nil).Credentials)
	assert.Equal(t, []string{"live", "sandbox"}, []string{targetOf(""), targetOf("sandbox")})
	cfg.Server.NATS = "nats://127.0.0.1:1"
	_, _, err := OpenClusterBudgets(t.Context(), cfg, "")
	assert.Error(t, err, "there is no cluster")
}

// TestWhatInstancesReceive checks the sources and subscriptions of an instance that the admin API uses to check requests.
func TestWhatInstancesReceive(t *testing.T) {
	v, _ := newParts(t, servedConfig)
	sources, known := SourcesOf(v.config.Load)("cohorts")
	assert.True(t, known)
	assert.Equal(t, []string{"web"}, sources)
	_, known = SourcesOf(v.config.Load)("none")
	assert.False(t, known)
	assert.Equal(t, []string{"Audiences"}, SubscriptionsOf(v.config.Load)("cohorts"))
	assert.Empty(t, SubscriptionsOf(v.config.Load)("none"))
}

// TestWeakKeys checks which keys of the admin API are warned of.
func TestWeakKeys(t *testing.T) {
	for key, weak := range map[string]bool{"": false, "x": true, strings.Repeat("x", 15): true, strings.Repeat("x", 16): false} {
		v, log := newParts(t, firstConfig)
		cfg := &config.Config{}
		cfg.Server.AdminKey = key
		v.warnWeakKey(cfg)
		assert.Equal(t, weak, log.Len() > 0, key)
	}
}

// TestPagesGetWhatTheConfigSays checks what pages can load, and what keeps them from it.
func TestPagesGetWhatTheConfigSays(t *testing.T) {
	const web = `
sources: [{id: web, writeKey: wk}, {id: app, writeKey: ak}]
ingest: {publicURL: "https://events.example", analyticsJS: analytics.js}
destinations:
  - {id: page, destination: braze-web, sources: [app], settings: {api_key: k, endpoint: sdk.iad-01.braze.com, sdkVersion: "5.4"}, subscriptions: []}
`
	v, log := newParts(t, firstConfig)
	cfg := v.load(t, web)
	for _, c := range []struct {
		target  instances.Target
		offline bool
	}{{instances.Target{Sandbox: true}, true}, {instances.Target{SandboxURL: "http://127.0.0.1:1"}, false}, {instances.Target{Live: true}, false}} {
		v.Target = c.target
		site := v.deviceSite(cfg, v.runningInstances())
		assert.Equal(t, c.offline, site.Offline, c.target.Description())
		assert.Equal(t, "https://events.example", site.PublicURL)
		assert.Equal(t, cfg.ResolvePath("analytics.js"), site.AnalyticsJS)
		require.Len(t, site.Sources, 2)
		assert.Equal(t, []string{"app", "ak"}, []string{site.Sources[1].ID, site.Sources[1].WriteKey})
		require.Len(t, site.Instances, 1)
		assert.Equal(t, []string{"app"}, site.Instances[0].Sources)
	}
	v.warnDevices(cfg, v.runningInstances())
	assert.Contains(t, log.String(), "ingest.origins")
	v.startRunner(t)
	status := v.fullStatus()
	require.Len(t, status, 1)
	assert.Equal(t, []any{"page", true}, []any{status[0].Instance, status[0].InBrowser})
}

// TestHooksThatHaveNotRun checks that the server warns of hooks that have to run, and when it cannot know.
func TestHooksThatHaveNotRun(t *testing.T) {
	v, log := newParts(t, firstConfig)
	v.load(t, servedConfig)
	v.warnHooks(t.Context(), v.runningInstances())
	assert.Empty(t, log.String())
	v.load(t, `
sources: [{id: web, writeKey: wk}]
destinations:
  - id: klaviyo
    destination: klaviyo
    settings: {api_key: k}
    subscriptions: [{name: Profiles, action: upsertProfile, subscribe: type = "identify", hooks: {retlOnMappingSave: {list_name: VIPs}}}]
`)
	v.warnHooks(t.Context(), v.runningInstances())
	assert.Contains(t, log.String(), "a hook has not run with its current inputs")
	assert.NotContains(t, log.String(), "cannot find out")
	require.NoError(t, v.store.Close())
	v.warnHooks(t.Context(), v.runningInstances())
	assert.Contains(t, log.String(), "cannot find out which hooks have to run")
}

// TestTracesGoToTheCollector checks that spans are sent to the collector of the environment.
func TestTracesGoToTheCollector(t *testing.T) {
	got := make(chan string, 10)
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got <- r.URL.Path + string(body)
	}))
	defer collector.Close()
	t.Setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "none")
	for name, value := range map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": collector.URL, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": collector.URL + "/v1/traces"} {
		t.Run(name, func(t *testing.T) {
			t.Setenv(name, value)
			text := ""
			for text == "" { // a span that a slow machine does not send in time is lost
				tracer, end, err := openTraces(t.Context())
				require.NoError(t, err)
				_, span := tracer.Start(t.Context(), "a request")
				assert.True(t, span.IsRecording())
				span.End()
				end()
				select {
				case text = <-got:
				default:
				}
			}
			assert.Contains(t, text, "/v1/traces")
			assert.Contains(t, text, "a request")
			assert.Contains(t, text, "landfall")
		})
	}
}
