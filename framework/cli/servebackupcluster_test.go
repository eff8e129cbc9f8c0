package cli

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/state/statetest"
)

// TestAClusterIsBackedUpAndRestored follows the documented procedure: a cluster of three is backed up under load, its streams are
// lost and restored. All events acknowledged before the backup are delivered, and so are later ones.
func TestAClusterIsBackedUpAndRestored(t *testing.T) {
	if testing.Short() {
		t.Skip("three NATS servers and PostgreSQL")
	}
	t.Parallel() // it mostly waits
	database := statetest.Start(t)
	c, sandbox := newCluster(t), newBrazeSandbox(t)
	config := fmt.Sprintf("nats: {url: %q}\nstate: {url: %q}\n", c.urls(), database.URL) +
		strings.Replace(serveConfig, "linger: 50ms", "linger: 50ms, lease: 3s", 1)
	a, b := newServed(t, config, "--sandbox-url", sandbox.URL), newServed(t, config, "--sandbox-url", sandbox.URL)
	a.start()
	b.start()
	load, background := newLoad(1000, 4), newLoad(1000, 4)
	injectFaults(t, sandbox.URL, `{"path": "`+users+`", "delay_ms": 300, "times": 100}`)
	enough := make(chan struct{})
	var sending sync.WaitGroup
	sending.Go(func() {
		for {
			select {
			case <-enough:
				return
			default:
				b.tryPost(b.url, otherUsers(background.batch(100, 0, 1)))
			}
		}
	})
	load.send(a, 4000, 4, func() {})
	dir := filepath.Join(t.TempDir(), "backup")
	out := a.mustRun("backup", dir)
	require.Contains(t, out, "pg_dump")
	time.Sleep(time.Second)
	close(enough)
	sending.Wait()
	a.kill(syscall.SIGKILL)
	b.kill(syscall.SIGKILL)
	out, err := a.command("restore", "--replace", dir)
	require.Error(t, err, "the cluster has its streams still: %s", out)
	deleteStreams(t, c.urls())
	a.mustRun("restore", "--replace", dir)
	a.start()
	b.start()
	load.send(b, 1000, 4, func() {})
	require.Eventually(t, func() bool { return load.checkUsers(t, sandbox.URL) == 0 }, 2*time.Minute, 500*time.Millisecond)
	require.NotContains(t, a.mustRun("doctor"), "problem")
}

func deleteStreams(t *testing.T, url string) {
	t.Helper()
	conn, err := nats.Connect(url)
	require.NoError(t, err)
	defer conn.Close()
	js, err := jetstream.New(conn)
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	for _, name := range []string{"EVENTS", "PARK", "DEAD", "BOOKS"} {
		require.NoError(t, js.DeleteStream(ctx, name))
	}
}
