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
	"github.com/landfall-dev/landfall/framework/state"
	"github.com/landfall-dev/landfall/framework/state/statetest"
)

// newNATSServer starts a NATS server that stops with the test, and returns its URL.
func newNATSServer(t *testing.T) string {
	s, err := natsserver.NewServer(&natsserver.Options{Host: "127.0.0.1", Port: natsserver.RANDOM_PORT, JetStream: true, StoreDir: t.TempDir(), NoLog: true, NoSigs: true})
	require.NoError(t, err)
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	require.True(t, s.ReadyForConnections(30*time.Second))
	return s.ClientURL()
}

// If the queue is on a cluster, landfall status still asks the server on this machine.
func TestStatusWithAQueueOnACluster(t *testing.T) {
	s := newServed(t, fmt.Sprintf("nats: {url: %q, replicas: 1}\n", newNATSServer(t))+serveConfig, "--sandbox")
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

// TestDoctorLeavesAnEmptyDatabaseEmpty checks that doctor reports a database without a ledger, and creates none, and one with an earlier schema.
func TestDoctorLeavesAnEmptyDatabaseEmpty(t *testing.T) {
	t.Parallel()
	location := statetest.Postgres(t)
	dir := t.TempDir()
	file := filepath.Join(dir, "landfall.yaml")
	require.NoError(t, os.WriteFile(file, []byte("state: {url: \""+location+"\"}\n"+serveConfig), 0o600))
	for range 2 {
		_, out := command(t, "doctor", "--config", file)
		assert.Contains(t, out, "PostgreSQL answers, and there is no ledger in the database")
		assert.Contains(t, out, "landfall serve creates it")
	}
	code, out := command(t, "state", "show", "--config", file)
	assert.Equal(t, exitFailed, code, out)
	assert.Contains(t, out, "there is no ledger in the database of state.url")
	store, err := state.Open(t.Context(), location)
	require.NoError(t, err)
	require.NoError(t, store.Close())
	_, out = command(t, "doctor", "--config", file)
	assert.Regexp(t, `ok +ledger +PostgreSQL answers\n`, out)
	code, out = command(t, "state", "downgrade", "--yes", "--config", file)
	require.Zero(t, code, out)
	_, out = command(t, "doctor", "--config", file)
	assert.Contains(t, out, "run landfall state upgrade")
}

// TestAProgramHasItsOwnNameInMessages checks errors, usage, examples and hints of a program that is not called landfall.
func TestAProgramHasItsOwnNameInMessages(t *testing.T) {
	run := func(program string, args ...string) string {
		var out bytes.Buffer
		executeCommand(t.Context(), args, streams{in: &bytes.Buffer{}, out: &out, err: &out, program: program})
		return out.String()
	}
	for _, args := range [][]string{{"wrong"}, {"run"}, {"run", "--wrong"}, {"sync", "--help"}, {"dead", "list", "--help"}, {"--help"}} {
		own, usual := run("acme", args...), run("", args...)
		assert.Contains(t, own, "acme", args)
		assert.NotContains(t, own, "landfall:", args)
		assert.NotContains(t, own, "  landfall ", args)
		assert.Contains(t, usual, "landfall", args)
		assert.NotContains(t, usual, "acme", args)
	}
}
