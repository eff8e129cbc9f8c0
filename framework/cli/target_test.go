package cli

import (
	"bytes"
	"context"
	"encoding/pem"
	"errors"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/destinations"
	"github.com/landfall-dev/landfall/framework/runtime/instances"
	"github.com/landfall-dev/landfall/framework/state/statetest"
)

// command runs landfall in a separate process, and returns its exit code and its output.
func command(t *testing.T, args ...string) (int, string) {
	t.Helper()
	file, err := binary()
	require.NoError(t, err)
	out, err := exec.Command(file, args...).CombinedOutput()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode(), string(out)
	}
	require.NoError(t, err)
	return exitOK, string(out)
}

// commandHere runs landfall in this process, without input, and returns its exit code and its outputs.
func commandHere(ctx context.Context, args ...string) (code int, out, errs string) {
	var o, e bytes.Buffer
	code = executeCommand(ctx, args, streams{in: strings.NewReader(""), out: &o, err: &e, plugins: destinations.All()})
	return code, o.String(), e.String()
}

// realBraze simulates the real API of Braze for processes of this test, which trust its certificate.
func realBraze(t *testing.T) *httptest.Server { return trustedBraze(t, newBrazeSandbox(t).URL) }

// trustedBraze starts realBraze in front of a sandbox of the test.
func trustedBraze(t *testing.T, sandbox string) *httptest.Server {
	to, err := url.Parse(sandbox)
	require.NoError(t, err)
	server := httptest.NewTLSServer(httputil.NewSingleHostReverseProxy(to))
	t.Cleanup(server.Close)
	certificate := filepath.Join(t.TempDir(), "ca.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	require.NoError(t, os.WriteFile(certificate, text, 0o600))
	t.Setenv("SSL_CERT_FILE", certificate)
	return server
}

// membersOf returns the members of each audience of a simulated real Braze.
func membersOf(t *testing.T, server *httptest.Server) map[string]map[string]bool {
	inner := httptest.NewServer(server.Config.Handler)
	defer inner.Close()
	return members(t, inner.URL)
}

// rehearsal writes a config whose endpoint is a server of this test, and a file of users.
func rehearsal(t *testing.T, endpoint, more string) (dir, file, users string) {
	dir = t.TempDir()
	file, users = filepath.Join(dir, "landfall.yaml"), filepath.Join(dir, "users.csv")
	config := strings.Replace(serveConfig, "https://rest.iad-01.braze.com", endpoint, 1) + more
	require.NoError(t, os.WriteFile(file, []byte(config), 0o600))
	require.NoError(t, os.WriteFile(users, []byte("external_id\nu1\nu2\n"), 0o600))
	return dir, file, users
}

// TestSandboxRunsAreNotDeliveries checks that events sent to a sandbox do not count as sent to the real remote.
func TestSandboxRunsAreNotDeliveries(t *testing.T) {
	for name, more := range map[string]string{"sqlite": "", "postgres": "state: {url: \"" + statetest.Postgres(t) + "\"}\n"} {
		t.Run(name, func(t *testing.T) {
			braze, other := realBraze(t), newBrazeSandbox(t)
			_, file, users := rehearsal(t, braze.URL, more)
			for _, target := range [][]string{{"--sandbox"}, {"--sandbox-url", other.URL}, {"--live"}} {
				code, out := command(t, append([]string{"sync", "--config", file, "--audience", "aud_1", users}, target...)...)
				require.Zero(t, code, out)
				assert.Regexp(t, `(?m)^delivered +2$`, out, target)
			}
			assert.Len(t, membersOf(t, braze)["aud_1"], 2)
			for _, target := range [][]string{{"--sandbox"}, {"--sandbox-url", other.URL}} {
				code, out := command(t, append([]string{"members", "purge", "aud_1", "--yes", "--config", file}, target...)...)
				require.Zero(t, code, out)
			}
			assert.Len(t, membersOf(t, braze)["aud_1"], 2)
			code, out := command(t, "members", "list", "--config", file, "--json")
			require.Zero(t, code, out)
			assert.Contains(t, out, `"members":2`)
			code, out = command(t, "members", "purge", "aud_1", "--yes", "--live", "--config", file)
			require.Zero(t, code, out)
			assert.Empty(t, membersOf(t, braze)["aud_1"])
		})
	}
}

// TestServersOfASandboxHaveSeparateData checks that a server with a sandbox has its own queue, ledger and dead letters, and leaves
// no waiting events for the real remote.
func TestServersOfASandboxHaveSeparateData(t *testing.T) {
	braze := realBraze(t)
	config := strings.Replace(serveConfig, "https://rest.iad-01.braze.com", braze.URL, 1)
	s := newServed(t, config, "--sandbox")
	event := entered("u1", "vip")
	s.start()
	s.post(event)
	s.waitSettled(1)
	s.kill(syscall.SIGTERM)
	assert.NoFileExists(t, filepath.Join(s.dir, instances.DefaultData, "state.db"))
	assert.NoDirExists(t, filepath.Join(s.dir, instances.DefaultData, instances.QueueDir))

	s.args = nil
	s.start()
	out, ok := landfall(t, nil, "serve", "--sandbox", "--config", filepath.Join(s.dir, "landfall.yaml"), "--listen", "127.0.0.1:0")
	require.False(t, ok)
	assert.Contains(t, out, "in use by another process", "one server at a time in a data directory")
	assert.Zero(t, s.waitSettled(0)["events"])
	s.post(event)
	assert.EqualValues(t, 1, s.waitSettled(1)["delivered"])
	assert.True(t, membersOf(t, braze)["aud_vip"]["u1"])
	s.kill(syscall.SIGTERM)
}

// TestUnmarkedLedgerIsAdopted checks that a ledger without a target is adopted with a warning.
func TestUnmarkedLedgerIsAdopted(t *testing.T) {
	braze := realBraze(t)
	dir, file, users := rehearsal(t, braze.URL, "")
	text, err := os.ReadFile(filepath.Join("testdata", "unmarked", "state.db"))
	require.NoError(t, err)
	config, err := os.ReadFile(file)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(file, bytes.Replace(config, []byte("id: braze-main"), []byte("id: main"), 1), 0o600))
	require.NoError(t, os.MkdirAll(filepath.Join(dir, instances.DefaultData), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(dir, instances.DefaultData, "state.db"), text, 0o600))

	code, out := command(t, "sync", "--dry-run", "--yes", "--config", file, "--audience", "aud_1", users)
	require.Zero(t, code, out)
	assert.NotContains(t, out, "warning", "a dry run marks nothing")
	code, out = command(t, "sync", "--live", "--yes", "--config", file, "--audience", "aud_1", users)
	require.Zero(t, code, out)
	assert.Contains(t, out, "warning: the ledger of main has no target, since an earlier version wrote it")
	assert.Regexp(t, `(?m)^unchanged +2$`, out)
	assert.Regexp(t, `(?m)^exit +1$`, out)
	code, out = command(t, "sync", "--live", "--config", file, "--audience", "aud_1", users)
	require.Zero(t, code, out)
	assert.NotContains(t, out, "warning")
}

// TestAnotherEndpointIsRefused checks that another endpoint is refused until the ledger is retargeted.
func TestAnotherEndpointIsRefused(t *testing.T) {
	braze, moved := realBraze(t), realBraze(t)
	dir, file, users := rehearsal(t, braze.URL, "")
	sync := func(ok bool) string {
		code, out := command(t, "sync", "--live", "--config", file, "--audience", "aud_1", users)
		require.Equal(t, ok, code == exitOK, out)
		return out
	}
	sync(true)
	config, err := os.ReadFile(file)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(file, bytes.ReplaceAll(config, []byte(braze.URL), []byte(moved.URL)), 0o600))

	out := sync(false)
	assert.Contains(t, out, "landfall.yaml:8:")
	assert.Contains(t, out, "/destinations/0/settings/endpoint is not the remote that the ledger belongs to")
	assert.NotContains(t, out, "partner_api_key")
	code, out := command(t, "members", "list", "--config", file)
	require.Zero(t, code, "reading is allowed: %s", out)
	assert.Contains(t, out, "aud_1")
	code, out = command(t, "sync", "--live", "--dry-run", "--config", file, "--audience", "aud_1", users)
	require.NotZero(t, code, "a dry run fails as the run would: %s", out)

	retarget := func(code int, args ...string) {
		got, out := command(t, append([]string{"state", "retarget", "--config", file, "braze-main"}, args...)...)
		require.Equal(t, code, got, out)
		assert.Contains(t, out, "2 members in 1 audience,")
	}
	retarget(exitMisuse)
	retarget(exitOK, "--dry-run")
	sync(false)
	retarget(exitOK, "--yes")
	assert.Regexp(t, `(?m)^unchanged +2$`, sync(true))
	retarget(exitOK, "--forget", "--yes")
	assert.Regexp(t, `(?m)^delivered +2$`, sync(true))
	assert.Len(t, membersOf(t, moved)["aud_1"], 2)

	text, err := os.ReadFile(filepath.Join(dir, instances.DefaultData, "state.db"))
	require.NoError(t, err)
	assert.NotContains(t, string(text), "client_secret")
}

// TestDataDirectoryDoesNotReplaceTheDatabase checks that every command uses state.url even if --data is given, which is for local
// files only.
func TestDataDirectoryDoesNotReplaceTheDatabase(t *testing.T) {
	braze := realBraze(t)
	place := statetest.Postgres(t)
	data := t.TempDir()
	config := "state: {url: \"" + place + "\"}\n" + strings.Replace(serveConfig, "https://rest.iad-01.braze.com", braze.URL, 1)
	s := newServed(t, config, "--data", data)
	file := filepath.Join(s.dir, "landfall.yaml")
	events, users := filepath.Join(s.dir, "events.ndjson"), filepath.Join(s.dir, "users.csv")
	require.NoError(t, os.WriteFile(users, []byte("external_id\nu5\n"), 0o600))
	require.NoError(t, os.WriteFile(events, []byte(`{"type":"track","event":"Audience Entered","userId":"u7","timestamp":"2026-01-02T03:04:05Z","properties":{"vip":true,"audience_key":"vip"},`+
		`"context":{"personas":{"computation_class":"audience","computation_id":"aud_vip","computation_key":"vip"}}}`+"\n"), 0o600))
	s.start()
	s.post(entered("u1", "vip"))
	assert.EqualValues(t, 1, s.waitSettled(1)["delivered"])
	for _, args := range [][]string{
		{"run", "--live", events}, {"sync", "--live", "--add", "--audience", "aud_vip", users}, {"members", "list", "--json"}, {"members", "resync", "vip", "--live"},
		{"state", "show"}, {"state", "upgrade"}, {"dead", "list"}, {"status"},
	} {
		code, out := command(t, append(args, "--config", file, "--data", data)...)
		require.Zero(t, code, "%v: %s", args, out)
		if args[0] == "members" && args[1] == "list" {
			assert.Contains(t, out, `"members":3`)
		}
	}
	s.kill(syscall.SIGTERM)
	code, out := command(t, "members", "list", "--json", "--config", file)
	require.Zero(t, code, out)
	assert.Contains(t, out, `"members":3`, "another machine, with another directory, sees the same")
	for _, dir := range []string{data, filepath.Join(s.dir, instances.DefaultData)} {
		files, err := filepath.Glob(filepath.Join(dir, "state*"))
		require.NoError(t, err)
		assert.Empty(t, files, "no local state is made")
	}
	assert.DirExists(t, filepath.Join(data, instances.QueueDir))

	require.NoError(t, os.WriteFile(filepath.Join(data, "state.db"), nil, 0o600))
	s.start()
	log, err := os.ReadFile(s.log.Name())
	require.NoError(t, err)
	assert.Contains(t, string(log), "this file is not used", "a user who relied on --data is told")
}

// TestCommandsFindTheSandbox checks that commands without a target find the running server and read its data.
func TestCommandsFindTheSandbox(t *testing.T) {
	s := newServed(t, serveConfig, "--sandbox")
	file := filepath.Join(s.dir, "landfall.yaml")
	s.start()
	s.post(entered("u1", "vip"))
	s.waitSettled(1)
	running := func(args ...string) string {
		code, out := command(t, append(args, "--config", file)...)
		require.Zero(t, code, out)
		return out
	}
	assert.Regexp(t, `delivered +1`, running("status"))
	assert.Contains(t, running("members", "list"), "aud_vip")
	s.kill(syscall.SIGTERM)
	assert.Contains(t, running("dead", "list"), "has no data of real remotes; using the data of the")
	assert.Contains(t, running("dead", "list", "--sandbox"), "there are no dead letters")
	out := running("members", "show", "u1")
	assert.Contains(t, out, "external_id:u1: in")
	code, out := command(t, "dead", "list", "--config", file, "--sandbox-url", "http://127.0.0.1:1")
	assert.Equal(t, exitFailed, code)
	assert.Contains(t, out, "there is no queue")
}
