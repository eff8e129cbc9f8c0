package cli

import (
	"bytes"
	"fmt"
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
