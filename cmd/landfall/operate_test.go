package main

import (
	"bytes"
	"fmt"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Where the queue is a cluster's, the server of this machine is asked how far it is all the same.
func TestStatusWhereTheQueueIsElsewhere(t *testing.T) {
	cluster, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, JetStream: true, StoreDir: t.TempDir(), NoLog: true, NoSigs: true})
	require.NoError(t, err)
	cluster.Start()
	defer func() { cluster.Shutdown(); cluster.WaitForShutdown() }()
	require.True(t, cluster.ReadyForConnections(10*time.Second))
	s := newServed(t, fmt.Sprintf("nats: {url: %q, replicas: 1}\n", cluster.ClientURL())+serveConfig, "--sandbox")
	status := func() (int, string) {
		var out, wrong bytes.Buffer
		code := execute(t.Context(), []string{"status", "--config", filepath.Join(s.dir, "landfall.yaml")}, streams{in: &bytes.Buffer{}, out: &out, err: &wrong})
		return code, out.String() + wrong.String()
	}
	code, text := status()
	assert.Equal(t, exitFailed, code)
	assert.Contains(t, text, "no server of this machine uses the data directory")
	s.start()
	code, text = status()
	assert.Equal(t, exitOK, code, text)
	assert.Contains(t, text, "braze-main")
	s.kill(syscall.SIGTERM)
	code, text = status()
	assert.Equal(t, exitFailed, code, text)
}
