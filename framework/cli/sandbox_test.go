package cli

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/destinations"
)

// TestSandboxURL runs events against a sandbox on a socket, with injected failures, and compares the report with the sandbox's
// state.
func TestSandboxURL(t *testing.T) {
	address := startSandbox(t, "--client-secret", "right", "--partner-key", "partner")
	post := func(path, body string) {
		answer, err := http.Post(address+path, "application/json", strings.NewReader(body))
		require.NoError(t, err)
		answer.Body.Close()
		require.Equal(t, 200, answer.StatusCode)
	}
	dir := t.TempDir()
	events, err := os.ReadFile("../../fixtures/braze-cohorts/audience.ndjson")
	require.NoError(t, err)
	config, err := os.ReadFile("../../fixtures/braze-cohorts/landfall.yaml")
	require.NoError(t, err)
	config = bytes.ReplaceAll(config, []byte("${BRAZE_CLIENT_SECRET:-sandbox-client-secret}"), []byte("right"))
	config = bytes.ReplaceAll(config, []byte("${BRAZE_PARTNER_API_KEY:-sandbox-partner-key}"), []byte("partner"))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "audience.ndjson"), events, 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, configFile), config, 0o600))

	summary := run(t, 0, "run", "--json", "--allow-refused", "--sandbox-url", address, filepath.Join(dir, "audience.ndjson"))
	inProcess := run(t, 0, "run", "--json", "--allow-refused", "--sandbox", filepath.Join(dir, "audience.ndjson"))
	assert.Equal(t, inProcess, summary)

	post("/__sandbox/reset", "")
	post("/__sandbox/faults", `[{"path":"/partners/segment/cohorts/users","times":1,"status":429,"headers":{"Retry-After":"0"}},
		{"path":"/partners/segment/cohorts","status":503},{"path":"/partners/segment/cohorts/users","drop":true,"after":true}]`)
	again := run(t, 0, "run", "--json", "--allow-refused", "--sandbox-url", address, filepath.Join(dir, "audience.ndjson"))
	assert.Equal(t, summary.Cohorts, again.Cohorts)
	assert.Equal(t, summary.Delivered, again.Delivered)
	assert.Greater(t, again.Requests, summary.Requests)
	answer, err := http.Get(address + "/__sandbox/state")
	require.NoError(t, err)
	defer answer.Body.Close()
	state, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	assert.Contains(t, string(state), `"warnings":[]`)

	require.NoError(t, os.WriteFile(filepath.Join(dir, configFile), bytes.ReplaceAll(config, []byte("client_secret: right"), []byte("client_secret: wrong-and-secret")), 0o600))
	var out bytes.Buffer
	assert.Equal(t, exitFailed, executeCommand(context.Background(), []string{"auth", "test", "--sandbox-url", address, "--config", filepath.Join(dir, configFile)}, streams{in: nil, out: &out, err: io.Discard, plugins: destinations.All()}))
	assert.Contains(t, out.String(), "braze-main (Braze Cohorts): Client Secret Key does not allow this partner")
	assert.NotContains(t, out.String(), "wrong-and-secret")
	refused := run(t, exitFailed, "run", "--json", "--sandbox-url", address, filepath.Join(dir, "audience.ndjson"))
	assert.Zero(t, refused.Delivered)
	assert.Greater(t, refused.Refused, 1000)
}

type runSummary struct {
	Events, Matched, Delivered, Skipped, Refused, Requests int
	Cohorts                                                []audienceSize
}

// run runs the command line and reads its summary. No output may contain a secret.
func run(t *testing.T, exit int, args ...string) runSummary {
	code, out, errs := commandHere(context.Background(), args...)
	require.Equal(t, exit, code, errs)
	assert.NotContains(t, out+errs, "wrong-and-secret")
	lines := strings.Split(strings.TrimSpace(out), "\n")
	var last struct{ Summary runSummary }
	require.NoError(t, json.Unmarshal([]byte(lines[len(lines)-1]), &last))
	return last.Summary
}

// startSandbox serves a sandbox on a free port until the test ends, and returns its address.
func startSandbox(t *testing.T, flags ...string) string {
	ctx, stop := context.WithCancel(context.Background())
	reader, writer := io.Pipe()
	ended := make(chan int, 1)
	go func() {
		ended <- executeCommand(ctx, append([]string{"sandbox", "braze", "--listen", "127.0.0.1:0"}, flags...), streams{in: nil, out: writer, err: io.Discard, plugins: destinations.All()})
	}()
	t.Cleanup(func() {
		stop()
		http.DefaultClient.CloseIdleConnections()
		select {
		case code := <-ended:
			assert.Equal(t, exitOK, code)
		case <-time.After(time.Minute):
			t.Error("the sandbox did not stop")
		}
	})
	line, err := bufio.NewReader(reader).ReadString('\n')
	require.NoError(t, err)
	return strings.TrimSpace(line[strings.Index(line, "http://"):])
}
