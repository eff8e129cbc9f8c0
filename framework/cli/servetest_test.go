package cli

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/delivery"
	"github.com/landfall-dev/landfall/framework/runtime/instances"
	"github.com/landfall-dev/landfall/framework/server"
	"github.com/landfall-dev/landfall/internal/testport"
)

// binary builds the command once for all tests that run it as a process, in a temporary directory. It does not know its version: by default
// Go would give it one in a clean clone, and none in a checkout with changes.
var binary = sync.OnceValues(func() (string, error) {
	return buildProgram("landfall", "github.com/landfall-dev/landfall/cmd/landfall")
})

// natsBinary builds the NATS server once for all clusters.
var natsBinary = sync.OnceValues(func() (string, error) { return buildProgram("nats-server", "github.com/nats-io/nats-server/v2") })

// buildProgram builds a package in the temporary directory for built programs.
func buildProgram(name, path string) (string, error) {
	file := filepath.Join(os.Getenv(builtVariable), name)
	out, err := exec.Command("go", "build", "-buildvcs=false", "-o", file, path).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("building: %w: %s", err, out)
	}
	return file, nil
}

// builtVariable is the environment variable with the directory for built programs.
const builtVariable = "LANDFALL_BUILT"

// cleanupMain runs the tests with a temporary directory for built programs, and removes it afterwards.
type cleanupMain struct{ *testing.M }

func (t cleanupMain) Run() int {
	dir, err := os.MkdirTemp("", "landfall")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	if err := os.Setenv(builtVariable, dir); err != nil {
		panic(err)
	}
	return t.M.Run()
}

// served is a `landfall serve` process, which a test can kill and restart.
type served struct {
	t          *testing.T
	dir        string // with landfall.yaml
	args       []string
	earlier    string         // the command of an earlier version; the present one unless it is set
	program    string         // the command; that of landfall unless it is set
	configFile string         // landfall.yaml in dir unless it is set
	listen     string         // the address of the events; one with a free port unless it is set
	scheme     string         // http unless it is set
	url        string         // of the events
	admin      server.Address // of the admin API, with its token
	log        *os.File
	cmd        *exec.Cmd
	client     *http.Client
	keys       []string // the write keys of batches; wk unless it is set
}

const serveConfig = `
sources: [{id: web, writeKey: wk}]
delivery: {linger: 50ms}
destinations:
  - id: braze-main
    destination: braze-cohorts
    sources: [web]
    settings: {endpoint: "https://rest.iad-01.braze.com", client_secret: s, partner_api_key: p}
    subscriptions:
      - name: Audiences
        action: syncAudiences
        subscribe: event = "Audience Entered" or event = "Audience Exited"
        mapping: {personas_audience_key: {"@path": $.context.personas.computation_key}}
`

// newServed prepares a server; start starts it.
func newServed(t *testing.T, config string, args ...string) *served {
	s := &served{t: t, dir: t.TempDir(), args: args, client: &http.Client{Timeout: time.Minute, Transport: &http.Transport{MaxIdleConnsPerHost: 64}}}
	require.NoError(t, os.WriteFile(filepath.Join(s.dir, "landfall.yaml"), []byte(config), 0o600))
	var err error
	s.log, err = os.Create(filepath.Join(s.dir, "log"))
	require.NoError(t, err)
	t.Cleanup(func() {
		s.kill(syscall.SIGKILL)
		s.client.CloseIdleConnections()
		if t.Failed() {
			text, _ := os.ReadFile(s.log.Name())
			t.Logf("the server's log ends: %s", text[max(0, len(text)-3000):])
		}
		_ = s.log.Close()
	})
	return s
}

// start starts the server and waits until it is ready.
func (s *served) start() {
	s.launch()
	s.waitReady()
}

// launch starts the server.
func (s *served) launch() {
	file, err := binary()
	require.NoError(s.t, err)
	listen := cmp.Or(s.listen, testport.Free(s.t))
	s.url = cmp.Or(s.scheme, "http") + "://" + listen
	args := []string{"serve", "--config", cmp.Or(s.configFile, filepath.Join(s.dir, "landfall.yaml")), "--listen", listen}
	if s.earlier == "" {
		args = append(args, "--admin-listen", "127.0.0.1:0")
	}
	s.cmd = exec.Command(cmp.Or(s.earlier, s.program, file), append(args, s.args...)...)
	s.cmd.Stderr = s.log
	require.NoError(s.t, s.cmd.Start())
}

// waitReady waits until the server is ready, and reads its address.
func (s *served) waitReady() {
	for range 1200 {
		if answer, err := s.client.Get(s.url + "/readyz"); err == nil {
			_ = answer.Body.Close()
			if answer.StatusCode == 200 {
				if s.admin = (server.Address{URL: s.url}); s.earlier == "" {
					s.admin, err = server.ReadAddress(s.dataDir())
				}
				require.NoError(s.t, err)
				return
			}
		}
		time.Sleep(50 * time.Millisecond)
	}
	require.Fail(s.t, "the server is not ready")
}

// dataDir returns the server's data directory.
func (s *served) dataDir() string {
	if i := slices.Index(s.args, "--data"); i >= 0 {
		return s.args[i+1]
	}
	return filepath.Join(s.dir, instances.DefaultData)
}

// ask sends a request to the admin listener and returns the status and the body of the response.
func (s *served) ask(path string, header ...string) (int, string) {
	return s.get(s.admin.URL+path, header...)
}

// get makes a request with a header of names and values.
func (s *served) get(url string, header ...string) (int, string) {
	r, err := http.NewRequest(http.MethodGet, url, nil)
	require.NoError(s.t, err)
	for i := 0; i+1 < len(header); i += 2 {
		if r.Header.Set(header[i], header[i+1]); header[i] == "Host" {
			r.Host = header[i+1]
		}
	}
	answer, err := s.client.Do(r)
	require.NoError(s.t, err)
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	require.NoError(s.t, err)
	return answer.StatusCode, string(body)
}

// kill kills the process and waits until it has ended.
func (s *served) kill(signal syscall.Signal) {
	if s.cmd == nil {
		return
	}
	_ = s.cmd.Process.Signal(signal)
	_ = s.cmd.Wait()
	s.cmd = nil
}

// post sends a batch until it is accepted.
func (s *served) post(batch []byte) {
	for range 1800 { // a disk may be full for a minute
		request, err := http.NewRequest(http.MethodPost, s.url+"/v1/batch", bytes.NewReader(batch))
		require.NoError(s.t, err)
		request.SetBasicAuth("wk", "")
		if answer, err := s.client.Do(request); err == nil {
			body, _ := io.ReadAll(answer.Body)
			_ = answer.Body.Close()
			if answer.StatusCode == 200 {
				return
			}
			if answer.StatusCode < 500 && answer.StatusCode != 429 {
				require.Fail(s.t, "a batch is refused", "%s", body)
			}
		}
		time.Sleep(50 * time.Millisecond)
	}
	require.Fail(s.t, "a batch is not accepted")
}

// status returns the server's status; false if it does not respond.
func (s *served) status() (list []delivery.Status, ok bool) {
	request, err := http.NewRequest(http.MethodGet, s.admin.URL+"/admin/status", nil)
	require.NoError(s.t, err)
	request.Header.Set("Authorization", "Bearer "+s.admin.Token)
	if s.earlier != "" {
		request.Header.Set("Landfall-Admin", "1") // what it takes on its own machine
	}
	answer, err := s.client.Do(request)
	if err != nil {
		return nil, false
	}
	defer answer.Body.Close()
	return list, json.NewDecoder(answer.Body).Decode(&list) == nil && len(list) > 0
}

// waitSettled waits until every event of the first instance has a verdict, and returns the counts by outcome.
func (s *served) waitSettled(events int64) map[string]int64 {
	var counts map[string]int64
	for since := time.Now(); time.Since(since) < time.Minute; {
		if list, ok := s.status(); ok {
			if !maps.Equal(counts, list[0].Counts) {
				counts, since = list[0].Counts, time.Now()
			}
			if verdicts(counts) == events && list[0].Waiting == 0 {
				return counts
			}
		}
		time.Sleep(100 * time.Millisecond)
	}
	require.Fail(s.t, "not every event has a verdict", "%d events, %v", events, counts)
	return nil
}

// keyOf returns the write key of a batch, the same one if it is sent again.
func (s *served) keyOf(batch []byte) string {
	if len(s.keys) == 0 {
		return "wk"
	}
	return s.keys[int(crc32.ChecksumIEEE(batch))%len(s.keys)]
}

// tryPost sends a batch once.
func (s *served) tryPost(url string, batch []byte) bool {
	request, err := http.NewRequest(http.MethodPost, url+"/v1/batch", bytes.NewReader(batch))
	if err != nil {
		return false
	}
	request.SetBasicAuth(s.keyOf(batch), "")
	answer, err := s.client.Do(request)
	if err != nil {
		time.Sleep(20 * time.Millisecond)
		return false
	}
	_, _ = io.Copy(io.Discard, answer.Body)
	_ = answer.Body.Close()
	return answer.StatusCode == 200
}
