package server

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/destinations"
	"github.com/landfall-dev/landfall/framework/delivery"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/runtime/instances"
	"github.com/landfall-dev/landfall/internal/loglines"
	"github.com/landfall-dev/landfall/internal/testport"
)

const stateKey = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="

// servedConfig has an instance that keeps audiences.
const servedConfig = `
state: {key: "` + stateKey + `"}
sources: [{id: web, writeKey: wk, erases: true}]
delivery: {linger: 5ms}
destinations:
  - id: cohorts
    destination: braze-cohorts
    sources: [web]
    settings: {endpoint: "https://rest.iad-01.braze.com", client_secret: s, partner_api_key: p}
    subscriptions:
      - name: Audiences
        action: syncAudiences
        subscribe: event = "Audience Entered" or event = "Audience Exited"
        mapping: {personas_audience_key: {"@path": $.context.personas.computation_key}}
`

// wrongSync is a config with a sync whose destination keeps no audiences.
const wrongSync = firstConfig + `audienceSyncs: [{id: vips, from: "sqlite:shop.db", query: SELECT 1, every: 1h}]`

// enteredVIPs is a user who enters an audience.
const enteredVIPs = `{"type":"track","event":"Audience Entered","userId":"u-ana","context":{"personas":{"computation_id":"aud_vips","computation_key":"vips","computation_class":"audience"}},"properties":{"vips":true}}`

// patience is how long a test waits for a server on a busy machine.
const patience = 5 * time.Minute

// served is a server that runs in the test's process and delivers to sandboxes.
type served struct {
	*testing.T
	file  string // the config
	log   loglines.Buffer
	at    Address
	end   func()
	ended chan error
}

// startServed starts a server with a config in a new directory. The test stops it at its end.
func startServed(t *testing.T, config string, options func(*Options)) *served {
	t.Helper()
	s := &served{T: t, file: filepath.Join(t.TempDir(), "landfall.yaml"), ended: make(chan error, 1)}
	s.write(config)
	s.start(options)
	return s
}

func (s *served) write(config string) {
	require.NoError(s, os.WriteFile(s.file, []byte(config), 0o600))
}

func (s *served) start(options func(*Options)) {
	s.Helper()
	o := newOptions(s.file, &s.log)
	if options != nil {
		options(&o)
	}
	ctx, cancel := context.WithCancel(s.Context())
	go func() { s.ended <- Run(ctx, o) }()
	s.end = sync.OnceFunc(func() { cancel(); assert.NoError(s, <-s.ended, s.log.String()) })
	s.Cleanup(s.end)
	s.eventually(func() (ok bool) {
		var err error
		s.at, err = ReadAddress(filepath.Join(filepath.Dir(s.file), instances.DefaultData))
		return err == nil || len(s.ended) > 0
	})
	require.Empty(s, s.ended, "it did not start")
}

// newOptions returns the options of a server whose sandboxes are in its process, on free ports.
func newOptions(file string, log io.Writer) Options {
	return Options{
		Config: file, Listen: "127.0.0.1:0", AdminListen: "127.0.0.1:0", Target: instances.Target{Sandbox: true}, Grace: 10 * time.Second,
		Catalog: instances.Catalog{Plugins: destinations.All()}, Log: slog.New(slog.NewTextHandler(log, nil)),
	}
}

// eventually waits until a condition is true. It runs in the goroutine of the test, so that conditions may set variables.
func (s *served) eventually(condition func() bool) {
	s.Helper()
	for deadline := time.Now().Add(patience); !condition(); time.Sleep(10 * time.Millisecond) {
		require.True(s, time.Now().Before(deadline), "the condition is never true")
	}
}

// logs waits until the log has a text.
func (s *served) logs(text string) {
	s.Helper()
	require.Eventually(s, func() bool { return strings.Contains(s.log.String(), text) }, patience, 10*time.Millisecond, text)
}

// call sends a request to a URL and returns the status and the body of the response. It has the local token, follows no redirects, and has
// further headers in pairs.
func (s *served) call(method, url, body string, header ...string) (int, string) {
	s.Helper()
	r, err := http.NewRequestWithContext(s.Context(), method, url, strings.NewReader(body))
	require.NoError(s, err)
	r.Header.Set("Authorization", "Bearer "+s.at.Token)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	response, err := http.DefaultTransport.RoundTrip(r)
	require.NoError(s, err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	require.NoError(s, err)
	return response.StatusCode, string(text)
}

// get returns the response of the admin listener to a GET request, which must succeed.
func (s *served) get(path string) string {
	s.Helper()
	status, text := s.call(http.MethodGet, s.at.URL+path, "")
	assert.Equal(s, http.StatusOK, status, "%s: %s", path, text)
	return text
}

// send posts an event to the tracking API and returns the response.
func (s *served) send(text string) (int, string) {
	s.Helper()
	kind := event.MustParse(text).Get("type").Text()
	return s.call(http.MethodPost, s.at.Ingest+"/v1/"+kind, text, "Authorization", "Basic d2s6")
}

// statuses returns the status of each instance.
func (s *served) statuses() map[string]delivery.Status {
	s.Helper()
	var list []delivery.Status
	require.NoError(s, json.Unmarshal([]byte(s.get("/admin/status")), &list))
	all := map[string]delivery.Status{}
	for _, status := range list {
		all[status.Instance] = status
	}
	return all
}

// dataFile is a file of the data directory.
func (s *served) dataFile(name string) string {
	return filepath.Join(filepath.Dir(s.file), instances.DefaultData, name)
}

// shows checks that a text has a part.
func (s *served) shows(text, part, place string) {
	s.Helper()
	assert.True(s, strings.Contains(text, part), "%s does not show %s", place, part)
}

// eventuallyShows waits until a path of the admin listener shows all parts.
func (s *served) eventuallyShows(path string, parts ...string) {
	s.Helper()
	require.EventuallyWithT(s, func(c *assert.CollectT) {
		text := s.get(path)
		for _, part := range parts {
			assert.True(c, strings.Contains(text, part), "%s does not show %s", path, part)
		}
	}, patience, 20*time.Millisecond)
}

// TestServesEvents follows events from the tracking API to the remote, and checks that each part of the server shows them.
func TestServesEvents(t *testing.T) {
	t.Parallel()
	s := startServed(t, servedConfig, nil)
	s.shows(s.get("/console/live"), s.at.Ingest, "the page of live events")
	status, text := s.send(enteredVIPs)
	require.Equal(t, http.StatusOK, status, text)
	s.eventually(func() bool { return s.statuses()["cohorts"].Counts["delivered"] == 1 })
	status, text = s.send(`{"type":"track","userId":"never-kept"}`)
	assert.Equal(t, http.StatusBadRequest, status, text)
	s.shows(s.get("/console/live"), "never-kept", "the page of live events, at once")

	status, text = s.call(http.MethodPost, s.at.URL+"/v1/track", enteredVIPs)
	assert.Equal(t, http.StatusNotFound, status)
	assert.Equal(t, "Events are not accepted on this port, which has the admin API and the console. Send them to "+s.at.Ingest+".\n", text)

	s.eventuallyShows("/metrics", // the instance has one of its partitions, and need not have all yet
		`landfall_events_total{outcome="accepted",source="web"} 1`, `landfall_events_total{outcome="rejected",source="web"} 1`, `landfall_delivering{instance="cohorts"} 1`, `landfall_stopped{instance="cohorts"} 0`,
		`landfall_unowned_partitions{instance="cohorts"} 0`, `landfall_paused_seconds{instance="cohorts"} 0`, `landfall_waiting{instance="cohorts"} 0`,
		`landfall_lag_events{instance="cohorts"} 0`, `landfall_lag_seconds{instance="cohorts"} 0`, `landfall_concurrency_limit{instance="cohorts"}`, `landfall_down_seconds{instance="cohorts"} 0`, `landfall_remaining_seconds{instance="cohorts"} 0`, `landfall_parked_keys{instance="cohorts"} 0`, `landfall_durable_verdicts{instance="cohorts",outcome="delivered"} 1`,
		"landfall_ready 1", "landfall_build_info{", `landfall_queue_bytes{stream="events"}`, "landfall_erasure_oldest_seconds 0", "landfall_ledger_bytes ", "landfall_ledger_member_files 0", `landfall_partitions{instance="cohorts"} 16`,
	)
	for path, want := range map[string]string{
		"/admin/why?user=u-ana":       `"reason":"member"`,
		"/admin/why?user=never-kept":  `"reason":"rejected"`,
		"/admin/damage":               "{",
		"/admin/erasures":             "[",
		"/console/deliveries":         "cohorts",
		"/console/live":               "Audience Entered",
		"/console/events":             "u-ana",
		"/console/verdicts":           "u-ana",
		"/console/audiences":          "vips",
		"/console/syncs":              "audienceSyncs",
		"/console/why?user=u-ana":     "u-ana",
		"/console/changes/config":     "found in the file at the start of the server",
		"/console/changes":            "Changes",
		"/console/erasures":           "Erase",
		"/console/history":            "cohorts",
		"/console/setup/edit/cohorts": "syncAudiences",
		"/healthz":                    "ok",
		"/readyz":                     "ready",
	} {
		s.shows(strings.ReplaceAll(s.get(path), `": "`, `":"`), want, path)
	}
	status, _ = s.call(http.MethodGet, s.at.URL+"/", "")
	assert.Equal(t, http.StatusSeeOther, status)
	for _, path := range []string{"/admin", "/admin/status", "/metrics", "/metrics/", "/console", "/console/deliveries"} {
		status, text := s.call(http.MethodGet, s.at.Ingest+path, "")
		assert.Equal(t, http.StatusNotFound, status, path)
		s.shows(text, s.at.URL, path)
	}
	for _, path := range []string{"/healthz", "/readyz"} {
		status, _ := s.call(http.MethodGet, s.at.Ingest+path, "")
		assert.Equal(t, http.StatusOK, status, path)
	}
	status, text = s.call(http.MethodGet, s.at.URL+"/admin/backup", "")
	assert.Equal(t, http.StatusOK, status)
	s.shows(text, "manifest", "the backup")
	s.logs("the backup is complete")
	s.shows(s.get("/console/changes"), "queue.backup", "the page of changes, at once")
	status, _ = s.call(http.MethodGet, s.at.URL+"/admin/status", "", "Authorization", "Bearer wrong")
	assert.Equal(t, http.StatusUnauthorized, status)
	s.end()
	assert.NoFileExists(t, s.dataFile(AddressFile))
	s.shows(s.log.String(), "stopped: waiting events are delivered after the next start", "the log")
}

// TestServerErasesUsers checks that an event of type delete erases its user at the destinations and in the log.
func TestServerErasesUsers(t *testing.T) {
	t.Parallel()
	s := startServed(t, servedConfig, nil)
	_, _ = s.send(enteredVIPs)
	s.eventually(func() bool { return s.statuses()["cohorts"].Counts["delivered"] == 1 })
	status, text := s.send(`{"type":"delete","userId":"u-ana"}`)
	require.Equal(t, http.StatusOK, status, text)
	s.eventually(func() bool {
		return strings.Contains(s.get("/admin/erasures"), `"doneAt"`)
	})
	s.shows(s.get("/admin/erasures"), "source web", "the receipt")
	s.shows(s.get("/console/erasures"), "source web", "the console")
	assert.False(t, strings.Contains(s.get("/console/events"), "u-ana"))
	assert.False(t, strings.Contains(s.get("/admin/why?user=u-ana"), `"reason":"member"`))
}

// TestEverythingOnOnePort checks which handler answers a path if the admin API shares the port of the events.
func TestEverythingOnOnePort(t *testing.T) {
	t.Parallel()
	s := startServed(t, servedConfig+"admin: {key: a-long-admin-key}", func(o *Options) { o.AdminListen = "ingest" })
	assert.Equal(t, s.at.Ingest, s.at.URL)
	s.eventually(func() bool {
		status, _ := s.call(http.MethodGet, s.at.URL+"/readyz", "")
		return status == http.StatusOK
	})
	for path, want := range map[string]string{"/healthz": "ok", "/readyz": "ready", "/metrics": "landfall_ready", "/admin/status": "cohorts"} {
		s.shows(s.get(path), want, path)
		if strings.HasPrefix(path, "/admin") || path == "/metrics" {
			status, _ := s.call(http.MethodGet, s.at.URL+path, "", "Authorization", "")
			assert.Equal(t, http.StatusUnauthorized, status, "the machine's own programs need the key as well: %s", path)
		}
	}
	status, _ := s.call(http.MethodGet, s.at.URL+"/console/deliveries", "")
	assert.Equal(t, http.StatusSeeOther, status, "the console asks to sign in")
	status, _ = s.call(http.MethodGet, s.at.URL+"/", "", "Accept", "text/html")
	assert.Equal(t, http.StatusSeeOther, status)
	status, _ = s.call(http.MethodGet, s.at.URL+"/", "")
	assert.NotEqual(t, http.StatusSeeOther, status, "a program is not sent to the console")
	status, text := s.send(enteredVIPs)
	assert.Equal(t, http.StatusOK, status, text)
}

// TestReloads checks what a changed config changes, and that one with mistakes changes nothing.
func TestReloads(t *testing.T) {
	t.Parallel()
	s := startServed(t, servedConfig+"admin: {key: short}", nil)
	s.logs("admin.key has fewer than 16 characters")
	reload := func() (int, string) { return s.call(http.MethodPost, s.at.URL+"/admin/reload", "") }
	_, _ = s.send(enteredVIPs)
	s.eventually(func() bool { return s.statuses()["cohorts"].Counts["delivered"] == 1 })
	for config, want := range map[string]string{
		strings.ReplaceAll(servedConfig, "braze-cohorts", "braze-cohort"): "braze-cohort",
		strings.ReplaceAll(servedConfig, "writeKey: wk, ", ""):            "no source with a writeKey",
		wrongSync:    "there is no instance of a destination with audiences",
		"sources: [": "landfall.yaml",
	} {
		s.write(config)
		status, text := reload()
		assert.Equal(t, http.StatusBadRequest, status, want)
		s.shows(text, want, "the response")
		assert.Contains(t, s.statuses(), "cohorts")
	}
	s.logs("the new config is not used, the old one stays in effect")
	assert.NotContains(t, s.log.String(), "need a restart")
	ready := func() string { _, text := s.call(http.MethodGet, s.at.URL+"/readyz", ""); return text }
	s.eventually(func() bool { return strings.Contains(ready(), "so the one before stays in effect") })
	assert.Regexp(t, `^ready\nthe config that was read at .*Z (has [1-9]\d* mistakes?|cannot be used), so`, ready())

	s.write(strings.ReplaceAll(servedConfig, "id: cohorts", "id: renamed") + "admin: {key: another-long-key}\ntrustedProxies: [10.0.0.1]\ningest: {publicURL: 'https://events.example', origins: ['https://shop.example']}")
	s.logs("config reloaded") // by itself
	s.eventually(func() bool { return ready() == "ready\n" })
	s.eventually(func() bool { return s.statuses()["cohorts"].Removed })
	assert.Equal(t, 1, s.statuses()["cohorts"].Members)
	assert.False(t, s.statuses()["renamed"].Removed)
	s.shows(s.log.String(), "landfall instances rename cohorts NEW", "the log")
	assert.NotContains(t, s.log.String(), "need a restart")
	status, _ := s.call(http.MethodGet, s.at.URL+"/admin/status", "", "Authorization", "Bearer short")
	assert.Equal(t, http.StatusUnauthorized, status, "the old key")
	status, _ = s.call(http.MethodGet, s.at.URL+"/admin/status", "", "Authorization", "Bearer another-long-key")
	assert.Equal(t, http.StatusOK, status)

	s.write(strings.ReplaceAll(servedConfig, "linger: 5ms", "linger: 6ms"))
	status, text := reload()
	assert.Equal(t, http.StatusOK, status, text)
	s.shows(s.log.String(), "the config has changes that need a restart of the server", "the log")
}

// TestRefusedStarts checks that a server that cannot start says why, and which errors are those of its options.
func TestRefusedStarts(t *testing.T) {
	t.Parallel()
	s := startServed(t, servedConfig, nil)
	busy, free := strings.TrimPrefix(s.at.Ingest, "http://"), testport.Free(t)
	for name, c := range map[string]struct {
		config  string
		options func(*Options)
		want    string
		option  bool
	}{
		"no source":            {strings.ReplaceAll(servedConfig, "writeKey: wk, ", ""), nil, "has no source with a writeKey", false},
		"a wrong destination":  {strings.ReplaceAll(servedConfig, "braze-cohorts", "braze-cohort"), nil, "braze-cohort", false},
		"not YAML":             {"sources: [", nil, "landfall.yaml", false},
		"a wrong sync":         {wrongSync, nil, "there is no instance of a destination with audiences", false},
		"a port in use":        {servedConfig, func(o *Options) { o.Listen = busy }, "give another address with --listen", false},
		"one port for both":    {servedConfig, func(o *Options) { o.Listen, o.AdminListen = free, free }, free + " has the port on which events are accepted: give another address with --admin-listen", false},
		"an admin port in use": {servedConfig, func(o *Options) { o.AdminListen = busy }, "the admin API, the console and the metrics cannot listen", false},
		"an open admin port":   {servedConfig, func(o *Options) { o.AdminListen = "0.0.0.0:0" }, "requires admin.key", true},
		"TLS on one port":      {servedConfig + "admin: {key: a-long-admin-key}\ntls: {acme: {domains: [a.example], email: a@a.example}}", func(o *Options) { o.AdminListen = "ingest" }, "--admin-listen ingest", true},
		"no certificate":       {servedConfig + "tls: {cert: none.pem, key: none.pem}", nil, "the certificate", false},
		"data in use":          {servedConfig, func(o *Options) { o.Data = filepath.Dir(s.dataFile("a")) }, "stop the other process, or give another directory with --data", false},
		"data of the live in use": {servedConfig, func(o *Options) {
			o.Data, o.Target = filepath.Dir(s.dataFile("a")), instances.Target{SandboxURL: "http://127.0.0.1:1"}
		}, "stop the other process, or give another directory with --data", false},
		"data in a file": {servedConfig, func(o *Options) { o.Data = s.file }, "landfall.yaml", false},
		"no catalog":     {servedConfig, func(o *Options) { o.Catalog.Definitions = "/none" }, "/none", false},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "landfall.yaml")
			require.NoError(t, os.WriteFile(file, []byte(c.config), 0o600))
			o := newOptions(file, io.Discard)
			if c.options != nil {
				c.options(&o)
			}
			ctx, cancel := context.WithTimeout(t.Context(), patience) // one that starts is stopped
			defer cancel()
			err := Run(ctx, o)
			require.ErrorContains(t, err, c.want)
			var option OptionError
			assert.Equal(t, c.option, errors.As(err, &option), "%v", err)
			assert.NoFileExists(t, filepath.Join(filepath.Dir(file), instances.DefaultData, AddressFile))
		})
	}
	assert.FileExists(t, s.dataFile(AddressFile), "that of the other server")
}
