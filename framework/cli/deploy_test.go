package cli

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"regexp"
	"slices"
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
	require.Len(t, blocks, 4) // a config, TLS, the PROXY protocol, several machines
	keys := regexp.MustCompile(`(?m)^(listen|trustedProxies):.*\n`)
	for _, more := range [][]byte{nil, blocks[1][1], blocks[2][1], blocks[3][1]} {
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
	dashboard, err := os.ReadFile("../../cmd/landfall/deploy/grafana.json")
	require.NoError(t, err)
	require.True(t, json.Valid(dashboard))
	alerts, err := os.ReadFile("../../cmd/landfall/deploy/alerts.yaml")
	require.NoError(t, err)
	absent := []string{"landfall_retries_total", "landfall_dead_letters_expired_total", "landfall_tls_expiry_timestamp_seconds"} // none happened, and there is no TLS
	names := regexp.MustCompile(`landfall_[a-z_]+`)
	for _, asked := range slices.Concat(names.FindAll(dashboard, -1), names.FindAll(page, -1), names.FindAll(alerts, -1)) {
		if !slices.Contains(absent, string(asked)) {
			assert.Contains(t, metrics, string(asked))
		}
	}
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
