package cli

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/server"
	"github.com/landfall-dev/landfall/internal/testport"
)

// TestCommandsFindTheServerWithoutAConfig checks that local commands connect to a running server by its data directory, or by its
// URL and key, although the config is broken or missing.
func TestCommandsFindTheServerWithoutAConfig(t *testing.T) {
	s := newServed(t, strings.Replace(keyedConfig, "computation_key}", "computation_ke}", 1), "--sandbox")
	s.start()
	s.post(entered("u1", "vip"))
	s.waitSettled(1)
	config, none := filepath.Join(s.dir, "landfall.yaml"), filepath.Join(t.TempDir(), "landfall.yaml")
	key := filepath.Join(s.dir, "key")
	require.NoError(t, os.WriteFile(key, []byte(testKey+"\n"), 0o600))
	for _, broken := range []string{"destinations: [", "destinations: 5\n", "nonsense: 1\n" + serveConfig, "data: elsewhere\nnats: {url: 5}\n" + serveConfig} {
		require.NoError(t, os.WriteFile(config, []byte(broken), 0o600))
		for _, where := range [][]string{
			{"--config", config, "--data", s.dataDir()}, {"--config", none, "--data", s.dataDir()}, {"--config", config, "--url", s.admin.URL, "--key-file", key},
			{"--config", none, "--url", s.admin.URL + "/", "--key-file", key},
		} {
			out, ok := landfall(t, nil, append([]string{"status"}, where...)...)
			assert.True(t, ok, out)
			assert.Contains(t, out, "braze-main")
			out, ok = landfall(t, nil, append([]string{"dead", "list", "--instance", "braze-main"}, where...)...)
			assert.True(t, ok, out)
			assert.Contains(t, out, "required but missing")
		}
	}
	out, ok := landfall(t, nil, "status", "--config", none, "--url", s.admin.URL)
	assert.False(t, ok)
	assert.Contains(t, out, "--key-file FILE or in $LANDFALL_ADMIN_KEY")
	t.Setenv(adminKeyVariable, testKey)
	out, ok = landfall(t, nil, "dead", "replay", "--all", "--config", none, "--url", s.admin.URL)
	assert.True(t, ok, out)
	out, ok = landfall(t, nil, "dead", "list", "--instance", "braze-mian", "--data", s.dataDir())
	assert.False(t, ok)
	assert.Contains(t, out, `there is no instance "braze-mian"`)
	out, ok = landfall(t, nil, "replay", "--since", "1h", "--instance", "braze-main", "--subscription", "Audiance", "--data", s.dataDir())
	assert.False(t, ok)
	assert.Contains(t, out, `has no subscription "Audiance" (did you mean "Audiences"?)`)
	out, ok = landfall(t, nil, "status", "--config", none, "--url", s.url)
	assert.False(t, ok)
	assert.Contains(t, out, "it has its own port")
	out, ok = landfall(t, nil, "status", "--config", none, "--url", "127.0.0.1:8081")
	assert.False(t, ok)
	assert.Contains(t, out, "--url should be like http://127.0.0.1:8081")
}

// TestCommandsWithoutAServer checks that the error without a running server says what to do.
func TestCommandsWithoutAServer(t *testing.T) {
	s := newServed(t, keyedConfig, "--sandbox", "--admin-listen", testport.Free(t)) // no other test is given this port while the server is down
	config, none := filepath.Join(s.dir, "landfall.yaml"), filepath.Join(t.TempDir(), "landfall.yaml")
	out, ok := landfall(t, nil, "status", "--config", config)
	assert.False(t, ok)
	assert.Contains(t, out, "there is no queue in "+s.dataDir()+", so no server has run with it: start one with landfall serve")
	s.start()
	s.post(entered("u1", "vip"))
	s.waitSettled(1)
	url := s.admin.URL
	s.kill(syscall.SIGKILL)
	require.FileExists(t, filepath.Join(s.dataDir(), server.AddressFile), "it was left behind")
	out, ok = landfall(t, nil, "status", "--data", s.dataDir(), "--config", none)
	assert.False(t, ok)
	assert.Contains(t, out, "no server on this machine uses the data directory")
	out, ok = landfall(t, nil, "status", "--url", url, "--config", none)
	assert.False(t, ok)
	assert.Contains(t, out, "no server answers at "+url)
	out, ok = landfall(t, nil, "dead", "list", "--config", config)
	assert.True(t, ok, out)
	assert.Contains(t, out, "there are no dead letters or parked events")
	out, ok = landfall(t, nil, "dead", "list", "--config", none, "--data", s.dataDir())
	assert.False(t, ok)
	assert.Contains(t, out, "without a server the config is needed (--config)")

	other := newServed(t, keyedConfig, "--sandbox") // at the address that the first one left behind
	other.args = append(other.args, "--admin-listen", strings.TrimPrefix(url, "http://"))
	other.start()
	out, ok = landfall(t, nil, "status", "--data", s.dataDir())
	assert.False(t, ok, out)
	assert.Contains(t, out, "no server on this machine uses the data directory")
}

// TestReadmeServerCommandsWork runs the commands that the README shows for a server.
func TestReadmeServerCommandsWork(t *testing.T) {
	t.Chdir("../..")
	text, err := os.ReadFile("README.md")
	require.NoError(t, err)
	_, section, ok := strings.Cut(string(text), "\n### Operators")
	require.True(t, ok)
	section, _, _ = strings.Cut(section, "\n### ")
	serve := regexp.MustCompile(`(?m)^    go run \./cmd/landfall serve (.*)$`).FindStringSubmatch(section)
	require.NotNil(t, serve)
	body := regexp.MustCompile(`(?s)curl -u ([^:]+): http://127\.0\.0\.1:8080(\S+) -d '([^']+)'`).FindStringSubmatch(section)
	require.NotNil(t, body)
	commands := regexp.MustCompile(`(?m)^    landfall ((?:status|dead|replay) [^#\n]*)`).FindAllStringSubmatch(section, -1)
	require.Len(t, commands, 4)

	s := newServed(t, "")
	data := filepath.Join(s.dir, "data")
	s.configFile = regexp.MustCompile(`--config (\S+)`).FindStringSubmatch(serve[1])[1]
	require.Contains(t, serve[1], "--data /tmp/landfall-data")
	require.Contains(t, serve[1], "--sandbox")
	s.args = []string{"--sandbox", "--data", data}
	s.start()
	require.Equal(t, 200, s.postAs(body[1], s.url+body[2], body[3]))
	s.waitSettled(1)
	for _, c := range commands {
		args := strings.Fields(strings.ReplaceAll(c[1], "/tmp/landfall-data", data))
		require.Contains(t, args, "--data", "it is right after serve, without a config in the directory: %s", c[1])
		out, ok := landfall(t, nil, args...)
		assert.True(t, ok, "%s: %s", c[1], out)
	}
}

// TestReadmeOutputIsCurrent checks that the first command of the README prints the output shown there.
func TestReadmeOutputIsCurrent(t *testing.T) {
	t.Chdir("../..")
	text, err := os.ReadFile("README.md")
	require.NoError(t, err)
	command := regexp.MustCompile(`(?m)^    go run \./cmd/landfall (run .*)$`).FindStringSubmatch(string(text))
	require.NotNil(t, command)
	shown := regexp.MustCompile("(?s)```text\n(.*?)```").FindStringSubmatch(string(text))
	require.NotNil(t, shown)
	out, ok := landfall(t, nil, strings.Fields(command[1])...)
	require.True(t, ok, out)
	for line := range strings.Lines(shown[1]) {
		if line = strings.TrimSpace(line); line != "…" {
			assert.Contains(t, out, line)
		}
	}
}
