package cli

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	natsserver "github.com/nats-io/nats-server/v2/server"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/destinations"
)

// If the queue is on a cluster, landfall status still asks the server on this machine.
func TestStatusWithAQueueOnACluster(t *testing.T) {
	cluster, err := natsserver.NewServer(&natsserver.Options{Host: "127.0.0.1", Port: natsserver.RANDOM_PORT, JetStream: true, StoreDir: t.TempDir(), NoLog: true, NoSigs: true})
	require.NoError(t, err)
	cluster.Start()
	defer func() { cluster.Shutdown(); cluster.WaitForShutdown() }()
	require.True(t, cluster.ReadyForConnections(10*time.Second))
	s := newServed(t, fmt.Sprintf("nats: {url: %q, replicas: 1}\n", cluster.ClientURL())+serveConfig, "--sandbox")
	status := func() (int, string) {
		var out, wrong bytes.Buffer
		code := executeCommand(t.Context(), []string{"status", "--config", filepath.Join(s.dir, "landfall.yaml")}, streams{in: &bytes.Buffer{}, out: &out, err: &wrong, plugins: destinations.All()})
		return code, out.String() + wrong.String()
	}
	code, text := status()
	assert.Equal(t, exitFailed, code)
	assert.Contains(t, text, "no server on this machine uses the data directory")
	s.start()
	code, text = status()
	assert.Equal(t, exitOK, code, text)
	assert.Contains(t, text, "braze-main")
	s.kill(syscall.SIGTERM)
	code, text = status()
	assert.Equal(t, exitFailed, code, text)
}

// Where a server answers is written as a whole and for this user alone, and through no link.
func TestTheAddressFileIsReplaced(t *testing.T) {
	dir := t.TempDir()
	elsewhere, file := filepath.Join(dir, "elsewhere"), filepath.Join(dir, addressFile)
	require.NoError(t, os.WriteFile(elsewhere, []byte("mine"), 0o644))
	require.NoError(t, os.Symlink(elsewhere, file))
	require.NoError(t, replaceFile(file, []byte("{}")))
	text, err := os.ReadFile(elsewhere)
	require.NoError(t, err)
	assert.Equal(t, "mine", string(text))
	info, err := os.Lstat(file)
	require.NoError(t, err)
	assert.EqualValues(t, 0o600, info.Mode())
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	assert.Len(t, entries, 2)
	assert.Error(t, replaceFile(filepath.Join(dir, "none", "file"), nil))
}
