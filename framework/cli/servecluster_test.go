package cli

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/state/statetest"
	"github.com/landfall-dev/landfall/internal/testport"
)

// cluster is three NATS servers, each in a separate process.
type cluster struct {
	t       *testing.T
	file    string
	clients []string // addresses
	configs []string
	dirs    []string
	running []*exec.Cmd
}

func newCluster(t *testing.T) *cluster {
	file, err := natsBinary()
	require.NoError(t, err)
	c := &cluster{t: t, file: file, running: make([]*exec.Cmd, 3)}
	var routes []string
	for range 3 {
		c.clients = append(c.clients, testport.Free(t))
		routes = append(routes, testport.Free(t))
	}
	for i, route := range routes {
		dir := t.TempDir()
		file := filepath.Join(dir, "nats.conf")
		text := fmt.Sprintf("server_name: n%d\nlisten: %q\njetstream: {store_dir: %q, sync_interval: always}\ncluster: {name: c, listen: %q, routes: [\"nats://%s\"]}\n",
			i, c.clients[i], dir, route, strings.Join(routes, `", "nats://`))
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
		c.configs, c.dirs = append(c.configs, file), append(c.dirs, dir)
	}
	t.Cleanup(func() {
		for i := range c.running {
			c.kill(i)
		}
	})
	for i := range c.configs {
		c.start(i)
	}
	c.ready()
	return c
}

func (c *cluster) start(i int) {
	c.running[i] = exec.Command(c.file, "-c", c.configs[i])
	require.NoError(c.t, c.running[i].Start())
}

func (c *cluster) kill(i int) {
	if c.running[i] != nil {
		_ = c.running[i].Process.Kill()
		_ = c.running[i].Wait()
		c.running[i] = nil
	}
}

func (c *cluster) urls() string { return "nats://" + strings.Join(c.clients, ",nats://") }

// ready waits until the servers have a leader.
func (c *cluster) ready() {
	for range 1800 { // a busy machine needs more than 90 s at times
		if conn, err := nats.Connect(c.urls()); err == nil {
			js, _ := conn.JetStream()
			_, err := js.AccountInfo()
			conn.Close()
			if err == nil {
				return
			}
		}
		time.Sleep(100 * time.Millisecond)
	}
	require.Fail(c.t, "the cluster has no leader")
}

// TestServersShareTheWork runs two servers on a cluster of three and one database: they share the partitions, and take over each
// other's when a server is killed or frozen, or when a NATS node is. While the database is unavailable they wait.
func TestServersShareTheWork(t *testing.T) {
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
	require.Equal(t, 16, waitOwned(t, a, 16))
	b.start()
	require.Equal(t, 8, waitOwned(t, a, 8))
	require.Equal(t, 8, waitOwned(t, b, 8))

	load, n := newLoad(1000, 6), events(t, shortLoad)
	var sending sync.RWMutex
	done := make(chan struct{})
	go func() { defer close(done); load.sendDuringRestarts(a, n, 4, &sending) }()
	b.kill(syscall.SIGKILL) // its partitions come to a when their leases have run out
	time.Sleep(time.Second)
	c.kill(1)
	require.Equal(t, 16, waitOwned(t, a, 16))
	c.start(1)
	b.start()
	require.NoError(t, b.cmd.Process.Signal(syscall.SIGSTOP)) // longer than its leases last
	require.NoError(t, c.running[2].Process.Signal(syscall.SIGSTOP))
	time.Sleep(4 * time.Second)
	require.NoError(t, c.running[2].Process.Signal(syscall.SIGCONT))
	require.NoError(t, b.cmd.Process.Signal(syscall.SIGCONT))
	database.Stop()
	time.Sleep(2 * time.Second)
	database.Start()
	<-done
	require.Equal(t, 8, waitOwned(t, b, 8), "who was frozen has its share again")
	counts := a.waitSettled(int64(n))
	load.check(t, sandbox.URL)
	assert.Zero(t, counts["dead"]+counts["parked"])
	t.Logf("%v", counts)
	b.kill(syscall.SIGTERM)
	require.Equal(t, 16, waitOwned(t, a, 16), "a server that stops gives its partitions back")
}

// waitOwned waits until a server has at least the wanted number of partitions, and returns how many it has.
func waitOwned(t *testing.T, s *served, want int) (n int) {
	t.Helper()
	for range 1200 {
		if list, ok := s.status(); ok {
			if n = list[0].Partitions; n == want {
				return n
			}
		}
		time.Sleep(50 * time.Millisecond)
	}
	return n
}
