package delivery_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/delivery"
	"github.com/landfall-dev/landfall/framework/destination"
)

// natsServer starts a NATS server that stops with the test.
func natsServer(t *testing.T) string {
	return natsServerIn(t, t.TempDir()).ClientURL()
}

// natsServerIn starts a NATS server with its files in a directory.
func natsServerIn(t *testing.T, dir string) *server.Server {
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, JetStream: true, StoreDir: dir, NoSigs: true})
	require.NoError(t, err)
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	require.True(t, s.ReadyForConnections(time.Minute))
	return s
}

func openAt(t *testing.T, url string) *delivery.Queue {
	q, err := delivery.Open(t.Context(), delivery.Config{URL: url, Replicas: 1})
	require.NoError(t, err)
	return q
}

// Processes with leases that are too short take partitions from each other, and lose their connections one after the other.
// Nothing is lost. No event is first sent after a later one of its user, and the last one sent is the newest.
func TestExpiringLeases(t *testing.T) {
	url := natsServer(t)
	one, two := openAt(t, url), openAt(t, url)
	defer one.Close()
	defer two.Close()
	remote := newRemote(t)
	random := rand.New(rand.NewPCG(3, 4))
	perform := func(ctx context.Context, call destination.BatchCall[change, change]) (*destination.MultiStatus, error) {
		remote.mu.Lock()
		slow := time.Duration(random.IntN(20)) * time.Millisecond
		if random.IntN(8) == 0 {
			slow = time.Second
		}
		remote.mu.Unlock()
		select {
		case <-time.After(slow):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		remote.mu.Lock()
		defer remote.mu.Unlock()
		if deadline, ok := ctx.Deadline(); ctx.Err() != nil || ok && !time.Now().Before(deadline) { // the timer of a deadline may be late
			return nil, context.DeadlineExceeded
		}
		for _, c := range call.Payloads {
			remote.taken[c.id] = append(remote.taken[c.id], c.n)
		}
		return nil, nil
	}
	s := quick
	s.Lease = 300 * time.Millisecond
	plan := remote.planOf(perform, `type = "track"`)
	first, second := startRunner(t, one, s, delivery.Instance{Plan: plan}), startRunner(t, two, s, delivery.Instance{Plan: plan})
	enough, gone := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(gone)
		for {
			guest := openAt(t, url)
			r := startRunner(t, guest, s, delivery.Instance{Plan: plan})
			select {
			case <-enough:
				stopRunner(t, r)
				guest.Close()
				return
			case <-time.After(400 * time.Millisecond):
				guest.Close() // it is disconnected, but its requests in flight continue
				stopRunner(t, r)
			}
		}
	}()
	const users, each = 40, 40
	same := `,"group":"g"`
	for n := range each {
		var batch []delivery.NewEvent
		for u := range users {
			batch = append(batch, newEvent(fmt.Sprintf("u%d", u), n, same))
		}
		require.NoError(t, one.Append(t.Context(), batch))
		time.Sleep(20 * time.Millisecond)
	}
	close(enough)
	<-gone
	last := func() (complete int) {
		remote.mu.Lock()
		defer remote.mu.Unlock()
		for _, list := range remote.taken {
			if list[len(list)-1] == each-1 {
				complete++
			}
		}
		return complete
	}
	for began := time.Now(); last() < users && time.Since(began) < waiting; {
		time.Sleep(tick)
	}
	stopRunner(t, first)
	stopRunner(t, second)
	s.Lease = 10 * time.Second // on a busy machine, each of the short leases expires
	patient := startRunner(t, one, s, delivery.Instance{Plan: plan})
	require.Eventually(t, func() bool { return last() == users }, 3*time.Minute, 20*time.Millisecond)
	stopRunner(t, patient)
	remote.requireAllInOrder(t, users, each)
}
