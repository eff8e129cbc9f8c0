package main_test

import (
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/internal/moduleproxy"
)

// newModule is a module that an installed landfall has made.
type newModule struct {
	*testing.T
	proxy   *moduleproxy.Proxy
	dir     string
	created string // what new module printed
}

// createModule installs landfall with its version, and creates a module.
func createModule(t *testing.T) *newModule {
	checkout, err := filepath.Abs("../..")
	require.NoError(t, err)
	proxy, bin, dir := moduleproxy.New(t, checkout, "."), t.TempDir(), t.TempDir()
	install := exec.Command("go", "install", "github.com/landfall-dev/landfall/cmd/landfall@"+proxy.Version)
	install.Env = append(proxy.Env(), "GOBIN="+bin)
	out, err := install.CombinedOutput()
	require.NoError(t, err, string(out))
	created := proxy.Run(t, dir, filepath.Join(bin, "landfall"), "new", "module", "example.com/acme/crm-events")
	return &newModule{t, proxy, filepath.Join(dir, "crm-events"), created}
}

// sh runs a line of a shell at the root of the module.
func (m *newModule) sh(line string) string { return m.proxy.Run(m.T, m.dir, "bash", "-c", line) }

// built runs a line with the built program in place of go run, which would link it again after each change.
func (m *newModule) built(line string) string {
	return m.sh(strings.Replace(line, "go run . ", "./crm-events ", 1))
}

// read returns a file of the module.
func (m *newModule) read(name string) string {
	text, err := os.ReadFile(filepath.Join(m.dir, name))
	require.NoError(m, err)
	return string(text)
}

// start runs the built program until the test ends.
func (m *newModule) start(args ...string) {
	cmd := exec.Command(filepath.Join(m.dir, "crm-events"), args...)
	cmd.Dir = m.dir
	require.NoError(m, cmd.Start())
	m.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		assert.NoError(m, cmd.Wait())
	})
}

// addresses waits for the address file of a server, and returns where it takes events and where its console is.
func (m *newModule) addresses(file string) (ingest, admin string) {
	var at struct{ URL, Ingest string }
	require.Eventually(m, func() bool {
		text, err := os.ReadFile(filepath.Join(m.dir, file))
		return err == nil && json.Unmarshal(text, &at) == nil
	}, time.Minute, 50*time.Millisecond)
	return at.Ingest, at.URL
}

// TestNewModule does what the messages of a new module say, with a module that requires Landfall by its version. LANDFALL_MODULE=1 also
// runs every command of its README, and its .ci/run, which build Landfall several times.
func TestNewModule(t *testing.T) {
	if testing.Short() {
		t.Skip("builds a module")
	}
	m := createModule(t)
	assert.Contains(t, m.created, "go.mod requires Landfall "+m.proxy.Version+", the version of this program.")
	mod := m.read("go.mod")
	assert.NotContains(t, mod, "replace")
	assert.Contains(t, mod, "require github.com/landfall-dev/landfall "+m.proxy.Version)
	lines := commandsIn(m.created)
	assert.Equal(t, []string{"cd crm-events", "go mod tidy"}, lines[:2])
	m.sh("go mod tidy && go build")
	for _, line := range lines[2:] {
		m.built(line)
	}
	assert.NotContains(t, m.read("go.mod"), "replace")
	m.checkCommands()
	m.checkServer()
	m.checkNewDestination()
	if os.Getenv("LANDFALL_MODULE") != "" {
		m.checkReadme()
		m.checkStaleFiles()
	}
}

// commandsIn returns the commands that a message proposes: its indented lines.
func commandsIn(message string) (lines []string) {
	for _, match := range regexp.MustCompile(`(?m)^  (\S.*)$`).FindAllStringSubmatch(message, -1) {
		lines = append(lines, match[1])
	}
	return lines
}

// checkCommands runs commands of the program.
func (m *newModule) checkCommands() {
	list := m.sh("./crm-events list")
	assert.Regexp(m, `(?m)^crm-events\b`, list)
	assert.Regexp(m, `(?m)^hubspot\b`, list, "the destinations of Landfall")
	assert.Contains(m, m.sh("./crm-events run --sandbox --allow-refused events.ndjson"), "refused because")
	assert.Contains(m, m.sh("./crm-events run --dry-run --allow-refused events.ndjson"), "https://api.crm-events.example/v1/create-contact")
	assert.Contains(m, m.sh("./crm-events generate"), "everything is up to date")
}

// checkServer runs the server and the console.
func (m *newModule) checkServer() {
	m.start("serve", "--sandbox", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0")
	ingest, admin := m.addresses("landfall-data/serve.json")
	curl := regexp.MustCompile(`(?m)^curl .*$`).FindString(m.read("README.md"))
	m.sh(strings.Replace(curl, "http://127.0.0.1:8080", ingest, 1))
	require.Eventually(m, func() bool { return strings.Contains(m.sh("./crm-events status --json"), `"crm-events-main"`) }, time.Minute, 200*time.Millisecond)
	m.checkPage(admin + "/console/catalogue/crm-events")

	listen := filepath.Join(m.TempDir(), "console.sock")
	m.start("console", "--sandbox", "--listen", "unix:"+listen)
	assert.Eventually(m, func() bool {
		out, err := exec.Command("curl", "-s", "--unix-socket", listen, "http://localhost/console/catalogue").Output()
		return err == nil && strings.Contains(string(out), "Crm Events")
	}, time.Minute, 100*time.Millisecond)
}

func (m *newModule) checkPage(url string) {
	answer, err := http.Get(url)
	require.NoError(m, err)
	require.NoError(m, answer.Body.Close())
	assert.Equal(m, http.StatusOK, answer.StatusCode, url)
}

// checkNewDestination creates a destination, and runs the commands that the program then proposes.
func (m *newModule) checkNewDestination() {
	message := m.sh("go run . new destination other")
	assert.Contains(m, message, "\n  go run . run --sandbox --allow-refused destinations/other/testdata/events.ndjson\n")
	for _, line := range commandsIn(message) {
		m.sh(line)
	}
	cmd := exec.Command("go", "run", ".", "new", "destination", "other")
	cmd.Dir, cmd.Env = m.dir, m.proxy.Env()
	out, err := cmd.CombinedOutput()
	require.Error(m, err)
	assert.Contains(m, string(out), "or add to it with go run . new action other KEY")
	require.NoError(m, os.RemoveAll(filepath.Join(m.dir, "destinations", "other")))
	m.sh("go generate ./...")
}

// checkReadme runs the commands of README.md except those of the server. The last of them checks that go generate changes nothing.
func (m *newModule) checkReadme() {
	for _, block := range regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(m.read("README.md"), -1) {
		for line := range strings.Lines(block[1]) {
			if !strings.Contains(line, " serve ") && !strings.HasPrefix(line, "curl ") && !strings.HasSuffix(line, " status\n") {
				m.sh(line) // with what the commands before it have made
			}
		}
	}
	assert.Contains(m, m.read("destinations/crm-events/plugin.go"), `"deleteContact"`)
}

// checkStaleFiles checks that .ci/run fails if the generated files are not those of the definitions.
func (m *newModule) checkStaleFiles() {
	file := filepath.Join(m.dir, "destinations", "other", "destination.yaml")
	text := strings.Replace(m.read("destinations/other/destination.yaml"), "The email address of the user.", "Where the user gets mail.", 1)
	require.NoError(m, os.WriteFile(file, []byte(text), 0o644))
	cmd := exec.Command(filepath.Join(m.dir, ".ci", "run"))
	cmd.Env = m.proxy.Env()
	out, err := cmd.CombinedOutput()
	require.Error(m, err, string(out))
	assert.Contains(m, string(out), "The generated files were not up to date. Now they are: commit them.")
}
