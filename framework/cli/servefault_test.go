package cli

import (
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/server"
)

// shortLoad is the number of events in the short form of a fault test, which is part of go test ./...
const shortLoad = 5_000

// events returns how many events a fault test sends: LANDFALL_EVENTS, or the given default. It is a multiple of 100, the size of a batch.
func events(t testing.TB, otherwise int) int {
	if text := os.Getenv("LANDFALL_EVENTS"); text != "" {
		n, err := strconv.Atoi(text)
		require.NoError(t, err)
		require.Zero(t, n%100, "LANDFALL_EVENTS must be a multiple of 100")
		return n
	}
	return otherwise
}

// TestKilledInALoop kills the server at least twenty times at random moments: no accepted event is lost, and every user has the
// state of the newest event, whichever source it came from. LANDFALL_EVENTS sets the number of events.
func TestKilledInALoop(t *testing.T) {
	sandbox := newBrazeSandbox(t)
	s := newServed(t, severalSources(t), "--sandbox-url", sandbox.URL)
	s.keys = []string{"wk", "ak", "ik"}
	s.start()
	load, n := newLoad(5000, 6), events(t, shortLoad)
	var sending sync.RWMutex // held while the server is away, so that its new address is seen
	done := make(chan struct{})
	var kills atomic.Int32
	go func() {
		defer close(done)
		load.sendDuringRestarts(s, n, 4, &sending)
	}()
	alive := max(200*time.Millisecond, time.Duration(n/20)*50*time.Microsecond)
	for open := true; open || kills.Load() < 20; {
		select {
		case <-done:
			open, done = false, nil
		case <-time.After(alive):
			sending.Lock()
			s.kill(syscall.SIGKILL)
			s.start()
			sending.Unlock()
			kills.Add(1)
		}
	}
	counts := s.waitSettled(int64(n))
	assert.Equal(t, int64(n), counts["events"]-counts["duplicate"])
	assert.Zero(t, counts["dead"]+counts["parked"]+counts["unmatched"], "%v", counts)
	load.check(t, sandbox.URL)
	t.Logf("%d events, %d kills: %v", n, kills.Load(), counts)
}

// severalSources returns the config of a server with three sources whose events an instance gets, and one that sends none.
func severalSources(t *testing.T) string {
	config := replaceOnce(t, serveConfig, "{id: web, writeKey: wk}", "{id: web, writeKey: wk}, {id: app, writeKey: ak}, {id: ios.app, writeKey: ik}, {id: other, writeKey: ok}")
	return replaceOnce(t, config, "sources: [web]", "sources: [ios.app, app, web]")
}

// sendDuringRestarts is like send while the test kills and restarts the server: a batch in progress is sent again.
func (l *load) sendDuringRestarts(s *served, events, senders int, sending *sync.RWMutex) {
	var all sync.WaitGroup
	for sender := range senders {
		all.Go(func() {
			for range batchesOf(sender, senders, events) {
				batch := l.batch(100, sender, senders)
				for sent := false; !sent; {
					sending.RLock()
					url := s.url
					sending.RUnlock()
					sent = s.tryPost(url, batch)
				}
			}
		})
	}
	all.Wait()
}

// TestMisbehavingRemotes combines failures of a remote: 429 with Retry-After, 503, 400 for one id, and connections that are dropped
// after the change. One instance never gets a response, and the other continues.
func TestMisbehavingRemotes(t *testing.T) {
	sandbox, hole := newBrazeSandbox(t, "poison"), newHangingServer(t)
	config := serveConfig + `
  - id: hook
    destination: braze-cohorts
    settings: {endpoint: "https://rest.iad-02.braze.com", client_secret: s, partner_api_key: p}
    subscriptions: [{name: All, action: syncAudiences, mapping: {personas_audience_key: {"@path": $.context.personas.computation_key}}}]
`
	proxy := newHostRouter(t, map[string]string{"rest.iad-01.braze.com": sandbox.URL, "rest.iad-02.braze.com": hole})
	s := newServed(t, config, "--sandbox-url", proxy, "--grace", "2s")
	s.start()
	load, n := newLoad(1000, 6), events(t, shortLoad)
	faults := []string{
		`{"path":"` + users + `","status":429,"headers":{"Retry-After":"1"},"times":1}`,
		`{"path":"` + users + `","status":503,"times":2}`,
		`{"path":"` + users + `","drop":true,"after":true,"times":1}`,
		`{"path":"` + users + `","drop":true,"times":1}`,
		`{"path":"` + users + `","status":500,"after":true,"times":1}`,
	}
	var sent atomic.Int32
	load.send(s, n, 4, func() {
		if i := int(sent.Add(1)); i%20 == 0 {
			injectFaults(t, sandbox.URL, faults[i/20%len(faults)])
		}
	})
	s.post(poisonedBatch)
	counts := s.waitSettled(int64(n) + 100)
	assert.Equal(t, int64(1), counts["dead"], "%v", counts)
	assert.Zero(t, counts["parked"])
	load.check(t, sandbox.URL)
	t.Logf("%v", counts)
	before := time.Now()
	s.kill(syscall.SIGTERM)
	assert.Less(t, time.Since(before), 30*time.Second)
}

// TestStoppedUnderLoad stops the server under load: the next start delivers all accepted events, and nothing is left.
func TestStoppedUnderLoad(t *testing.T) {
	sandbox := newBrazeSandbox(t)
	s := newServed(t, serveConfig, "--sandbox-url", sandbox.URL)
	s.start()
	load, n := newLoad(500, 6), 8000
	var sending sync.RWMutex
	done := make(chan struct{})
	go func() { defer close(done); load.sendDuringRestarts(s, n, 4, &sending) }()
	for range 4 {
		time.Sleep(300 * time.Millisecond)
		sending.Lock()
		s.kill(syscall.SIGTERM)
		_, err := os.Stat(s.dir + "/landfall-data/" + server.AddressFile)
		assert.ErrorIs(t, err, os.ErrNotExist)
		s.start()
		sending.Unlock()
	}
	<-done
	counts := s.waitSettled(int64(n))
	load.check(t, sandbox.URL)
	assert.Zero(t, counts["dead"]+counts["parked"])
}
