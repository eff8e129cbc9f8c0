package delivery_test

import (
	"context"
	"fmt"
	"net/url"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/delivery"
	"github.com/landfall-dev/landfall/internal/testport"
)

// natsCluster starts three NATS servers that stop with the test, and returns the URL of one.
func natsCluster(t *testing.T) string {
	t.Helper()
	var routes []*url.URL
	for range 3 {
		routes = append(routes, &url.URL{Scheme: "nats", Host: testport.Free(t)})
	}
	var servers []*server.Server
	for i, route := range routes {
		port, err := strconv.Atoi(route.Port())
		require.NoError(t, err)
		s, err := server.NewServer(&server.Options{
			ServerName: fmt.Sprintf("n%d", i), Host: "127.0.0.1", Port: server.RANDOM_PORT, JetStream: true, StoreDir: t.TempDir(), NoSigs: true,
			Cluster: server.ClusterOpts{Name: "c", Host: "127.0.0.1", Port: port}, Routes: routes,
		})
		require.NoError(t, err)
		go s.Start() // returns when the cluster has a leader
		t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
		servers = append(servers, s)
	}
	require.Eventually(t, func() bool {
		for _, s := range servers {
			if !s.ReadyForConnections(10*time.Millisecond) || !s.JetStreamIsCurrent() {
				return false
			}
		}
		return true
	}, 3*time.Minute, 50*time.Millisecond)
	return servers[0].ClientURL()
}

// emptyCluster deletes all streams.
func emptyCluster(t *testing.T, url string) {
	conn, err := nats.Connect(url)
	require.NoError(t, err)
	defer conn.Close()
	js, err := jetstream.New(conn)
	require.NoError(t, err)
	for _, name := range []string{"EVENTS", "PARK", "DEAD", "BOOKS"} {
		require.NoError(t, js.DeleteStream(t.Context(), name))
	}
}

// Servers that start at the same time on an empty cluster all start and share the partitions.
func TestServersStartAtOnce(t *testing.T) {
	t.Parallel() // it mostly waits
	for name, c := range map[string]struct {
		cluster                  func(*testing.T) string
		replicas, rounds, number int
	}{
		"one node":    {natsServer, 1, 5, 4},
		"three nodes": {natsCluster, 3, 2, 3},
	} {
		t.Run(name, func(t *testing.T) {
			if testing.Short() && c.replicas > 1 {
				t.Skip("three NATS servers")
			}
			at := c.cluster(t)
			for range c.rounds {
				startTogether(t, at, c.replicas, c.number)
				emptyCluster(t, at)
			}
		})
	}
}

// startTogether starts servers at once, and stops them when they share the partitions.
func startTogether(t *testing.T, url string, replicas, number int) {
	t.Helper()
	queues, runners := make([]*delivery.Queue, number), make([]*delivery.Runner, number)
	plan := newRemote(t).planFor(`type = "track"`)
	var all, opened sync.WaitGroup
	opened.Add(number)
	for i := range number {
		all.Go(func() {
			var err error
			queues[i], err = delivery.Open(t.Context(), delivery.Config{URL: url, Replicas: replicas})
			if !assert.NoError(t, err) {
				opened.Done()
				return
			}
			runners[i], err = delivery.NewRunner(t.Context(), queues[i], quick)
			opened.Done()
			opened.Wait() // so that all write their first checkpoints at the same time
			if assert.NoError(t, err) {
				assert.NoError(t, runners[i].SetInstances(t.Context(), []delivery.Instance{{Plan: plan}}))
			}
		})
	}
	all.Wait()
	if !t.Failed() {
		assert.Eventually(t, func() bool {
			owned := 0
			for _, r := range runners {
				owned += r.Status()[0].Partitions
			}
			return owned == 16
		}, time.Minute, 20*time.Millisecond)
	}
	for i := range number {
		if runners[i] != nil {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			runners[i].Stop(ctx)
			cancel()
		}
		if queues[i] != nil {
			queues[i].Close()
		}
	}
	require.False(t, t.Failed())
}

// The number of partitions is fixed when the log is created. Of servers that start at once with different numbers, only those
// with the same number as the first start.
func TestPartitionsAreFixed(t *testing.T) {
	url := natsServer(t)
	numbers := []int{8, 16, 8, 16, 8, 16}
	errs := make([]error, len(numbers))
	var all sync.WaitGroup
	for i, n := range numbers {
		all.Go(func() {
			q, err := delivery.Open(t.Context(), delivery.Config{URL: url, Replicas: 1, Partitions: n})
			if errs[i] = err; err == nil {
				q.Close()
			}
		})
	}
	all.Wait()
	started := map[int]int{}
	var mismatch *delivery.PartitionsError
	for i, err := range errs {
		if err == nil {
			started[numbers[i]]++
			continue
		}
		require.ErrorAs(t, err, &mismatch)
		assert.Equal(t, numbers[i], mismatch.Asked)
	}
	require.Len(t, started, 1)
	assert.Equal(t, 3, started[mismatch.Stored], "all that ask for the stored number start")
	assert.ErrorContains(t, mismatch, fmt.Sprintf("set delivery.partitions to %d", mismatch.Stored))
	q, err := delivery.Open(t.Context(), delivery.Config{URL: url, Replicas: 1})
	require.NoError(t, err, "a config that says nothing takes what is stored")
	q.Close()
}
