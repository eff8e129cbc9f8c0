package main_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/internal/moduleproxy"
)

// TestInstall installs the command with its version, as users do. Go refuses that if its go.mod has a replace directive.
func TestInstall(t *testing.T) {
	checkout, err := filepath.Abs("../..")
	require.NoError(t, err)
	proxy, bin := moduleproxy.New(t, checkout, ".", "cmd/landfall-connect"), t.TempDir()
	cmd := exec.Command("go", "install", "github.com/landfall-dev/landfall/cmd/landfall-connect@"+proxy.Version)
	cmd.Env = append(proxy.Env(), "GOBIN="+bin)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
	program := filepath.Join(bin, "landfall-connect")
	assert.Contains(t, proxy.Run(t, checkout, program, "list", "outputs"), "- landfall\n")
	assert.Contains(t, proxy.Run(t, checkout, program, "create", "stdin/landfall_map/landfall"), "config: landfall.yaml")
}

// TestReadmeMain compares the program in README.md with this one.
func TestReadmeMain(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	block := regexp.MustCompile("(?s)```go\n(.*?)```").FindSubmatch(readme)
	require.NotNil(t, block)
	program, err := os.ReadFile("main.go")
	require.NoError(t, err)
	of := strings.ReplaceAll(string(block[1]), "example.com/acme/landfall/destinations", "github.com/landfall-dev/landfall/destinations")
	for line := range strings.Lines(of) {
		assert.Contains(t, string(program), strings.TrimRight(line, "\n"))
	}
}
