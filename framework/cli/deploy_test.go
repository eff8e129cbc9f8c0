package cli

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/runtime/config"
)

// TestDeployFiles checks that the config in the operations page is valid, and that the metrics of the page and the dashboard exist.
func TestDeployFiles(t *testing.T) {
	page, err := os.ReadFile("../../cmd/landfall/deploy/README.md")
	require.NoError(t, err)
	blocks := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllSubmatch(page, -1)
	require.Len(t, blocks, 5) // a config, TLS with files, TLS with an authority, the PROXY protocol, several machines
	keys := regexp.MustCompile(`(?m)^(listen|trustedProxies):.*\n`)
	for _, more := range [][]byte{nil, blocks[1][1], blocks[2][1], blocks[3][1], blocks[4][1]} {
		text := blocks[0][1]
		if keys.Match(more) { // replaces a key of the config
			text = keys.ReplaceAll(text, nil)
		}
		_, problems := config.Parse("README.md", bytes.Join([][]byte{text, more}, nil), config.Env{
			Lookup: func(string) (string, bool) { return "x", true }, ReadFile: func(string) ([]byte, error) { return []byte("x"), nil },
		})
		assert.Empty(t, problems, string(more))
	}

	s := newServed(t, serveConfig, "--sandbox")
	s.start()
	s.post(entered("u1", "vip"))
	s.post(entered("u1", "vip"))
	s.waitSettled(2)
	_, metrics := s.ask("/metrics")
	assert.Contains(t, metrics, "\ngo_gc_gogc_percent ")
	if os.Getenv("GOGC") == "" {
		assert.NotContains(t, metrics, "\ngo_gc_gogc_percent 100\n", "a small heap is not collected whenever it has doubled")
	}
	dashboard, err := os.ReadFile("../../cmd/landfall/deploy/grafana.json")
	require.NoError(t, err)
	require.True(t, json.Valid(dashboard))
	alerts, err := os.ReadFile("../../cmd/landfall/deploy/alerts.yaml")
	require.NoError(t, err)
	absent := []string{"landfall_retries_total", "landfall_dead_letters_expired_total", "landfall_tls_expiry_timestamp_seconds", "landfall_finding"} // none happened, and there is no TLS
	names := regexp.MustCompile(`landfall_[a-z_]+`)
	for _, asked := range slices.Concat(names.FindAll(dashboard, -1), names.FindAll(page, -1), names.FindAll(alerts, -1)) {
		if !slices.Contains(absent, string(asked)) {
			assert.Contains(t, metrics, string(asked))
		}
	}
	queries := regexp.MustCompile(`"expr": "(.*)"`).FindAllSubmatch(dashboard, -1)
	require.Greater(t, len(queries), 20)
	for _, query := range queries {
		checkLabels(t, metrics, strings.ReplaceAll(string(query[1]), `\"`, `"`), absent)
	}
}

// checkLabels checks that the metrics of a query have the labels that it selects and groups by. Labels of scrapes are left out.
func checkLabels(t *testing.T, metrics, query string, absent []string) {
	t.Helper()
	known := map[string]bool{"pod": true, "server": true, "job": true}
	selected := regexp.MustCompile(`(landfall_[a-z_]+)(?:\{([^}]*)\})?`).FindAllStringSubmatch(query, -1)
	for _, m := range selected {
		if slices.Contains(absent, m[1]) {
			return
		}
		sample := regexp.MustCompile(`(?m)^` + m[1] + `(?:\{(.*)\})? `).FindStringSubmatch(metrics)
		require.NotNil(t, sample, "%s has no sample", m[1])
		has := labelNames(sample[1])
		for _, name := range labelNames(m[2]) {
			assert.Contains(t, has, name, query)
		}
		for _, name := range has {
			known[name] = true
		}
	}
	for _, by := range regexp.MustCompile(`by \(([^)]*)\)`).FindAllStringSubmatch(query, -1) {
		for name := range strings.SplitSeq(by[1], ", ") {
			assert.True(t, known[name], "%s: no metric has the label %s", query, name)
		}
	}
}

// labelNames returns the names in the labels of a sample or in a selector.
func labelNames(labels string) (names []string) {
	for _, m := range regexp.MustCompile(`([a-z_]+)(?:=~|!=|=)"`).FindAllStringSubmatch(labels, -1) {
		names = append(names, m[1])
	}
	return names
}

// TestAlerts checks the rules of alerts.yaml and runs their tests.
func TestAlerts(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("promtool"); err != nil {
		t.Skip("promtool is not installed: apt-get install prometheus")
	}
	for _, args := range [][]string{{"check", "rules", "alerts.yaml"}, {"test", "rules", "alerts_test.yaml"}} {
		cmd := exec.Command("promtool", args...)
		cmd.Dir = "../../cmd/landfall/deploy"
		out, err := cmd.CombinedOutput()
		assert.NoError(t, err, string(out))
	}
}

// TestUnit checks the systemd unit: it starts the program with flags that exist, and may listen on port 443.
func TestUnit(t *testing.T) {
	t.Parallel()
	unit, err := os.ReadFile("../../cmd/landfall/deploy/landfall.service")
	require.NoError(t, err)
	for _, want := range []string{"CapabilityBoundingSet=CAP_NET_BIND_SERVICE\n", "AmbientCapabilities=CAP_NET_BIND_SERVICE\n", "ReadWritePaths=-/etc/landfall\n", "User=landfall\n"} {
		assert.Contains(t, string(unit), want)
	}
	start := regexp.MustCompile(`(?m)^ExecStart=/usr/bin/landfall serve (.*)$`).FindSubmatch(unit)
	require.NotNil(t, start)
	assert.NoError(t, newServe(streams{definitions: new(string)}).ParseFlags(strings.Fields(string(start[1]))))
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		t.Skip("systemd is not installed")
	}
	root := t.TempDir() // in which the program exists
	for name, content := range map[string][]byte{"usr/bin/landfall": []byte("#!/bin/sh\n"), "bin/kill": []byte("#!/bin/sh\n"), "etc/systemd/system/landfall.service": unit} {
		file := filepath.Join(root, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
		require.NoError(t, os.WriteFile(file, content, 0o755))
	}
	out, _ := exec.Command("systemd-analyze", "verify", "--root="+root, "--recursive-errors=no", "landfall.service").CombinedOutput()
	assert.NotContains(t, string(out), "landfall.service:")
}
