package cli

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/internal/testport"
)

// cli runs another command on a server's data directory, and returns its output.
func (s *served) cli(args ...string) string {
	file, err := binary()
	require.NoError(s.t, err)
	out, err := exec.Command(file, append(args, "--config", filepath.Join(s.dir, "landfall.yaml"))...).CombinedOutput()
	require.NoError(s.t, err, string(out))
	return string(out)
}

// entered returns an event of a user who enters an audience.
func entered(user, audience string) []byte {
	return fmt.Appendf(nil, `{"batch":[{"type":"track","userId":%q,"event":"Audience Entered","properties":{"audience_key":%q,%q:true},"context":{"personas":{"computation_class":"audience","computation_id":%q,"computation_key":%q}}}]}`,
		user, audience, audience, "aud_"+audience, audience)
}

func (s *served) rewrite(old, new string) {
	file := filepath.Join(s.dir, "landfall.yaml")
	text, err := os.ReadFile(file)
	require.NoError(s.t, err)
	require.Contains(s.t, string(text), old)
	require.NoError(s.t, os.WriteFile(file, []byte(strings.Replace(string(text), old, new, 1)), 0o600))
}

func (s *served) logs(text string) {
	s.t.Helper()
	require.Eventually(s.t, func() bool {
		log, _ := os.ReadFile(s.log.Name())
		return strings.Contains(string(log), text)
	}, time.Minute, 20*time.Millisecond, text)
}

// TestServerLifecycle serves events of which one is refused; the mapping is fixed at run time and the dead letter is replayed.
func TestServerLifecycle(t *testing.T) {
	sandbox := newBrazeSandbox(t)
	config := strings.Replace(serveConfig, `personas_audience_key: {"@path": $.context.personas.computation_key}`, `personas_audience_key: {"@path": $.context.personas.computation_ke}`, 1)
	s := newServed(t, config, "--sandbox-url", sandbox.URL)
	s.start()
	s.post(entered("u1", "vip"))
	counts := s.waitSettled(1)
	assert.Equal(t, int64(1), counts["dead"])
	list := s.cli("dead", "list", "--instance", "braze-main")
	assert.Contains(t, list, "braze-main · Audiences")
	assert.Contains(t, list, "required but missing")
	id := strings.Fields(list)[0]
	assert.Contains(t, s.cli("dead", "show", id), `"userId":"u1"`)

	s.rewrite("computation_ke}", "computation_key") // no longer YAML
	s.logs("the new config is not used, the old one stays in effect")
	s.rewrite("computation_key", "computation_key}")
	s.logs("config reloaded")
	assert.Equal(t, "1 replayed\n", s.cli("dead", "replay", id))
	require.Eventually(t, func() bool { return members(t, sandbox.URL)["aud_vip"]["u1"] }, time.Minute, 20*time.Millisecond)
	assert.Equal(t, int64(1), s.waitSettled(1)["delivered"])
	assert.Equal(t, "there are no dead letters or parked events\n", s.cli("dead", "list"))

	reloaded := s.reloadCount()
	s.rewrite("action: syncAudiences", "action: syncAudiences\n        enabled: false")
	s.waitReloaded(reloaded)
	s.post(entered("u2", "vip"))
	assert.Equal(t, int64(1), s.waitSettled(2)["unmatched"])
	reloaded = s.reloadCount()
	s.rewrite("\n        enabled: false", "")
	require.NoError(t, s.cmd.Process.Signal(syscall.SIGHUP))
	s.waitReloaded(reloaded)
	assert.Contains(t, s.cli("replay", "--since", "1h", "--instance", "braze-main", "--subscribe", `userId = "u2"`), "1 event since")
	require.Eventually(t, func() bool { return members(t, sandbox.URL)["aud_vip"]["u2"] }, time.Minute, 20*time.Millisecond)
	assert.Contains(t, s.cli("status"), "delivered")
	s.kill(syscall.SIGTERM)
	assert.Contains(t, s.cli("members", "list"), "2")
	assert.Contains(t, s.cli("dead", "list"), "there are no dead letters or parked events\n", "without a server, too")
}

// TestStatusMetricsAndHealth checks status, metrics and health checks, and the access to them.
func TestStatusMetricsAndHealth(t *testing.T) {
	s := newServed(t, serveConfig+"admin: {key: letmein}\n", "--sandbox-url", newBrazeSandbox(t).URL)
	s.start()
	s.post(entered("u1", "vip"))
	s.waitSettled(1)
	for _, path := range []string{"/healthz", "/readyz"} {
		for _, base := range []string{s.url, s.admin.URL} {
			status, _ := s.get(base + path)
			assert.Equal(t, 200, status)
		}
	}
	_, text := s.ask("/metrics", "Authorization", "Bearer letmein")
	for _, name := range []string{
		`landfall_events_total{outcome="accepted",source="web"} 1`, `landfall_verdicts_total{action="syncAudiences",instance="braze-main",outcome="delivered",subscription="Audiences"} 1`,
		`landfall_batch_duration_seconds_count`, `landfall_event_wait_seconds_count{instance="braze-main",stage="send"}`, `landfall_lag_seconds{instance="braze-main"} 0`, `landfall_queue_bytes{stream="events"}`,
		`landfall_build_info{commit="`, "landfall_ready 1", `landfall_delivering{instance="braze-main"} 1`, `landfall_unowned_partitions{instance="braze-main"} 0`,
	} {
		assert.Contains(t, text, name)
	}
	for want, headers := range map[int][][]string{
		200: {{"Authorization", "Bearer letmein"}, {"Authorization", "Bearer " + s.admin.Token}, {"Authorization", "Bearer letmein", "X-Forwarded-For", "10.0.0.1"}},
		401: {{}, {"Landfall-Admin", "1"}, {"Landfall-Admin", "1", "X-Forwarded-For", "10.0.0.1"}, {"Authorization", "Bearer no"}},
	} {
		for _, h := range headers {
			status, _ := s.ask("/admin/status", h...)
			assert.Equal(t, want, status, h)
		}
	}
	log, err := os.ReadFile(s.log.Name())
	require.NoError(t, err)
	assert.NotContains(t, string(log), "letmein")
	assert.NotContains(t, string(log), s.admin.Token)
}

func TestServeRefusesInvalidConfigs(t *testing.T) {
	file, err := binary()
	require.NoError(t, err)
	run := func(config string, args ...string) string {
		dir := t.TempDir()
		path := filepath.Join(dir, "landfall.yaml")
		require.NoError(t, os.WriteFile(path, []byte(config), 0o600))
		out, err := exec.Command(file, append([]string{"serve", "--config", path, "--listen", testport.Free(t), "--admin-listen", "127.0.0.1:0"}, args...)...).CombinedOutput()
		require.Error(t, err)
		return string(out)
	}
	assert.Contains(t, run(strings.Replace(serveConfig, "writeKey: wk", "", 1)), "has no source with a writeKey")
	assert.Contains(t, run(strings.Replace(serveConfig, "linger: 50ms", "linger: 50h", 1)), "linger should be between")
	assert.Contains(t, run(strings.Replace(serveConfig, "sources: [web]", "sources: [wob]", 1)), `there is no source "wob" (did you mean "web"?)`)
	s := newServed(t, serveConfig, "--sandbox")
	s.start()
	assert.Contains(t, run(serveConfig, "--data", filepath.Join(s.dir, "landfall-data")), "in use by another process")
}

// TestTraces checks that spans of requests and batches go to a collector without naming a user, and that request spans belong to the client's trace.
func TestTraces(t *testing.T) {
	var mu sync.Mutex
	var got []byte
	collector := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		raw, err := io.ReadAll(r.Body)
		assert.NoError(t, err)
		got = append(got, raw...)
		w.WriteHeader(http.StatusOK)
	}))
	defer collector.Close()
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.URL)
	t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "100") // milliseconds; when the server stops, it sends spans for three seconds at most
	s := newServed(t, serveConfig, "--sandbox")
	s.start()
	r, err := http.NewRequest("POST", s.url+"/v1/batch", bytes.NewReader(entered("person-one", "vip")))
	require.NoError(t, err)
	r.SetBasicAuth("wk", "")
	r.Header.Set("Traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	answer, err := s.client.Do(r)
	require.NoError(t, err)
	_ = answer.Body.Close()
	s.waitSettled(1)
	for _, text := range []string{"ingest", "deliver", "braze-main", "landfall", "\x0a\xf7\x65\x19\x16\xcd\x43\xdd\x84\x48\xeb\x21\x1c\x80\x31\x9c"} {
		require.Eventually(t, func() bool {
			mu.Lock()
			defer mu.Unlock()
			return bytes.Contains(got, []byte(text))
		}, time.Minute, 20*time.Millisecond, "%q", text)
	}
	s.kill(syscall.SIGTERM)
	mu.Lock()
	defer mu.Unlock()
	assert.False(t, bytes.Contains(got, []byte("person-")), "a span names the user")
}
