package cli

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/server"
	"github.com/landfall-dev/landfall/internal/testport"
)

const testKey = "an-admin-key-of-a-test"

const keyedConfig = serveConfig + "admin: {key: " + testKey + "}\n"

// TestTheIngestPortServesIngestAndHealthOnly checks that the ingest port serves events and health checks only, and that its 404
// names the admin address.
func TestTheIngestPortServesIngestAndHealthOnly(t *testing.T) {
	s := newServed(t, keyedConfig, "--sandbox")
	s.start()
	require.NotEqual(t, s.url, s.admin.URL)
	for _, path := range []string{"/admin/status", "/admin/letters", "/admin", "/metrics", "/console/", "/console", "/console/login", "/console/assets/console.css", "/console/setup"} {
		for _, header := range [][]string{nil, {"Authorization", "Bearer " + testKey}, {"Landfall-Admin", "1"}, {"Host", "localhost"}} {
			status, text := s.get(s.url+path, header...)
			assert.Equal(t, 404, status, path)
			assert.Contains(t, text, s.admin.URL)
			assert.Contains(t, text, "admin.listen")
		}
	}
	for _, path := range []string{"/healthz", "/readyz"} {
		status, _ := s.get(s.url + path)
		assert.Equal(t, 200, status)
	}
	status, text := s.get(s.url+"/", "Accept", "text/html")
	assert.Equal(t, 404, status)
	assert.NotContains(t, text, "console")
	s.post(entered("u1", "vip"))
	s.waitSettled(1)
	assert.Equal(t, 404, s.postAs("wk", s.admin.URL+"/v1/track", `{"userId":"u1","event":"A"}`))
}

// postAs sends an event with a write key and returns the status of the answer.
func (s *served) postAs(key, url, event string) int {
	r, err := http.NewRequest(http.MethodPost, url, strings.NewReader(event))
	require.NoError(s.t, err)
	r.SetBasicAuth(key, "")
	answer, err := s.client.Do(r)
	require.NoError(s.t, err)
	_ = answer.Body.Close()
	return answer.StatusCode
}

// TestAdminKeyIsRequiredOnTheSameMachine checks that with a key, a request without it is refused from every address, under every
// host name and with every header.
func TestAdminKeyIsRequiredOnTheSameMachine(t *testing.T) {
	s := newServed(t, keyedConfig, "--sandbox")
	s.start()
	noRedirects := *s.client
	noRedirects.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	s.client = &noRedirects
	for _, header := range [][]string{nil, {"Landfall-Admin", "1"}, {"Host", "localhost"}, {"Host", "localhost", "Landfall-Admin", "1"}, {"X-Forwarded-For", "127.0.0.1"}, {"Authorization", "Bearer "}} {
		for path, want := range map[string]int{"/admin/status": 401, "/admin/letters": 401, "/metrics": 401, "/console/": 303, "/console/setup": 303} {
			status, text := s.ask(path, header...)
			assert.Equal(t, want, status, "%s %v", path, header)
			assert.NotContains(t, text, "braze-main")
		}
	}
	status, text := s.ask("/metrics", "Authorization", "Bearer "+testKey)
	assert.Equal(t, 200, status)
	assert.Contains(t, text, "landfall_lag_seconds")
}

// TestWithoutAKeyOnlyLocalAccess checks that without a key, local programs have access, but pages in a browser that use another
// host name do not.
func TestWithoutAKeyOnlyLocalAccess(t *testing.T) {
	s := newServed(t, serveConfig, "--sandbox")
	s.start()
	for want, headers := range map[int][][]string{
		200: {{"Landfall-Admin", "1"}, {"Landfall-Admin", "1", "Host", "localhost:8081"}, {"Authorization", "Bearer " + s.admin.Token}},
		401: {{}, {"Landfall-Admin", "1", "Host", "evil.example"}, {"Landfall-Admin", "1", "X-Forwarded-For", "192.0.2.1"}, {"Landfall-Admin", "1", "X-Forwarded-Proto", "https"}},
	} {
		for _, header := range headers {
			status, _ := s.ask("/admin/status", header...)
			assert.Equal(t, want, status, header)
		}
	}
	status, _ := s.ask("/metrics")
	assert.Equal(t, 200, status)
	status, text := s.ask("/console/setup")
	assert.Equal(t, 200, status)
	assert.Contains(t, text, "braze-main")
	_, text = s.ask("/console/setup", "Host", "evil.example")
	assert.NotContains(t, text, "braze-main")

	s.rewrite("delivery:", "admin: {key: "+testKey+"}\ndelivery:")
	s.logs("config reloaded")
	status, _ = s.ask("/metrics")
	assert.Equal(t, 401, status, "a key that is set while it runs closes it at once")
}

// TestTheAddressFile checks that the address file is private, contains the server's address and token, and is removed when the
// server stops.
func TestTheAddressFile(t *testing.T) {
	s := newServed(t, keyedConfig, "--sandbox")
	s.start()
	file := filepath.Join(s.dataDir(), server.AddressFile)
	info, err := os.Stat(file)
	require.NoError(t, err)
	assert.EqualValues(t, 0o600, info.Mode())
	assert.Equal(t, s.url, s.admin.Ingest)
	assert.GreaterOrEqual(t, len(s.admin.Token), 40)
	first := s.admin.Token
	s.kill(syscall.SIGTERM)
	assert.NoFileExists(t, file)
	s.start()
	assert.NotEqual(t, first, s.admin.Token)
	other := `{"url":"http://127.0.0.1:1","token":"of another server"}`
	require.NoError(t, os.WriteFile(file, []byte(other), 0o600))
	s.kill(syscall.SIGTERM)
	assert.FileExists(t, file, "it is another server's by now")
}

// TestAdminPortInUse checks that another port is chosen if the default admin port is in use, and that commands find it. A
// configured port is not replaced.
func TestAdminPortInUse(t *testing.T) {
	testport.Hold(t, server.DefaultAdmin)
	s := newServed(t, keyedConfig, "--sandbox", "--admin-listen", "") // which stands for the default
	s.start()
	s.logs("the admin port 127.0.0.1:8081 is in use: listening on another port instead")
	require.NotContains(t, s.admin.URL, ":8081")
	status, _ := s.ask("/admin/status", "Authorization", "Bearer "+testKey)
	assert.Equal(t, 200, status)
	out, ok := landfall(t, nil, "status", "--data", s.dataDir())
	assert.True(t, ok, out)

	out, ok = runServe(t, keyedConfig, "--admin-listen", strings.TrimPrefix(s.admin.URL, "http://"))
	assert.False(t, ok)
	assert.Contains(t, out, "is already in use by another program")
	assert.Contains(t, out, "--admin-listen")
}

// runServe runs a server that is expected to end by itself.
func runServe(t *testing.T, config string, args ...string) (string, bool) {
	path := filepath.Join(t.TempDir(), "landfall.yaml")
	require.NoError(t, os.WriteFile(path, []byte(config), 0o600))
	file, err := binary()
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, file, append([]string{"serve", "--sandbox", "--config", path, "--listen", testport.Free(t)}, args...)...).CombinedOutput()
	return string(out), err == nil
}

// TestReachableAdminListenerNeedsAKey checks that a listener that other machines can reach requires a key, in the config and on the
// command line.
func TestReachableAdminListenerNeedsAKey(t *testing.T) {
	for listen, want := range map[string]string{
		"0.0.0.0:0": "can be reached from other machines", ":0": "can be reached from other machines", "[::]:0": "can be reached from other machines", "192.0.2.1:0": "can be reached from other machines",
		"ingest": "requires admin.key", "8081": "should be an address", "unix:": "should name the socket",
	} {
		out, ok := runServe(t, serveConfig, "--admin-listen", listen)
		assert.False(t, ok, listen)
		assert.Contains(t, out, want, listen)
		text, err := json.Marshal(listen)
		require.NoError(t, err)
		out, ok = runServe(t, serveConfig+"admin: {listen: "+string(text)+"}\n")
		assert.False(t, ok, listen)
		assert.Contains(t, out, want, listen)
		assert.Contains(t, out, "landfall.yaml:14:17", "the mistake has its place")
	}
	out, ok := landfall(t, nil, "console", "--config", filepath.Join(t.TempDir(), "landfall.yaml"), "--listen", "0.0.0.0:0")
	assert.False(t, ok)
	assert.Contains(t, out, "can be reached from other machines")
}

// TestEverythingOnTheIngestPort checks that one port can serve everything if a key is set.
func TestEverythingOnTheIngestPort(t *testing.T) {
	s := newServed(t, strings.Replace(keyedConfig, "admin: {", "admin: {listen: ingest, ", 1), "--sandbox", "--admin-listen", "")
	s.start()
	assert.Equal(t, s.url, s.admin.URL)
	s.post(entered("u1", "vip"))
	s.waitSettled(1)
	for _, header := range [][]string{nil, {"Landfall-Admin", "1"}, {"Host", "localhost", "Landfall-Admin", "1"}} {
		for _, path := range []string{"/admin/status", "/metrics"} {
			status, _ := s.get(s.url+path, header...)
			assert.Equal(t, 401, status)
		}
		_, text := s.get(s.url+"/console/setup", header...)
		assert.NotContains(t, text, "braze-main")
	}
	status, _ := s.get(s.url+"/metrics", "Authorization", "Bearer "+testKey)
	assert.Equal(t, 200, status)
	_, text := s.get(s.url+"/", "Accept", "text/html")
	assert.Contains(t, text, "Sign in")
	out, ok := landfall(t, nil, "status", "--data", s.dataDir())
	assert.True(t, ok, out)
}

// TestAdminOnAUnixSocket serves the admin API on a Unix socket that only its user can open.
func TestAdminOnAUnixSocket(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "admin.sock")
	s := newServed(t, strings.Replace(keyedConfig, "admin: {", "admin: {listen: \"unix:"+path+"\", ", 1), "--sandbox", "--admin-listen", "")
	s.start()
	assert.Equal(t, "unix:"+path, s.admin.URL)
	info, err := os.Stat(path)
	require.NoError(t, err)
	assert.Equal(t, os.ModeSocket|0o600, info.Mode())
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(context.Context, string, string) (net.Conn, error) { return net.Dial("unix", path) }}}
	answer, err := client.Get("http://localhost/metrics")
	require.NoError(t, err)
	_ = answer.Body.Close()
	assert.Equal(t, 401, answer.StatusCode, "with a key, the socket alone opens nothing")
	for _, args := range [][]string{{"--data", s.dataDir()}, {"--url", "unix:" + path, "--config", filepath.Join(s.dir, "landfall.yaml")}} {
		out, ok := landfall(t, nil, append([]string{"status"}, args...)...)
		assert.True(t, ok, out)
	}
	_, text := s.get(s.url + "/metrics")
	assert.NotContains(t, text, path, "the port of the events does not tell where the socket is")
	s.kill(syscall.SIGKILL)
	require.FileExists(t, path)
	s.start() // in place of the socket that was left behind
	out, ok := landfall(t, nil, "status", "--data", s.dataDir())
	assert.True(t, ok, out)
	s.kill(syscall.SIGTERM)
	assert.NoFileExists(t, path)
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	assert.Empty(t, entries)
}
