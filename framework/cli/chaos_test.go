package cli

import (
	"bufio"
	"encoding/json"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// usage is the resources of a server process.
type usage struct {
	descriptors, goroutines, megabytes float64
	cpu                                time.Duration // user and system
}

func (s *served) usage() usage {
	_, text := s.ask("/metrics", "Authorization", "Bearer "+s.admin.Token)
	value := func(name string) float64 {
		for line := range strings.Lines(text) {
			if rest, ok := strings.CutPrefix(line, name+" "); ok {
				n, err := strconv.ParseFloat(strings.TrimSpace(rest), 64)
				require.NoError(s.t, err)
				return n
			}
		}
		require.Fail(s.t, "no such metric", name)
		return 0
	}
	return usage{
		value("process_open_fds"), value("go_goroutines"), value("go_memstats_heap_inuse_bytes") / (1 << 20),
		time.Duration(value("process_cpu_seconds_total") * float64(time.Second)),
	}
}

// output runs the binary against the server's data directory.
func (s *served) output(args ...string) string {
	file, err := binary()
	require.NoError(s.t, err)
	out, err := exec.Command(file, append(args, "--data", s.dataDir())...).CombinedOutput()
	require.NoError(s.t, err, "%s: %s", strings.Join(args, " "), out)
	return string(out)
}

// letters counts the dead letters and parked events.
func (s *served) letters() int {
	n := 0
	lines := bufio.NewScanner(strings.NewReader(s.output("dead", "list", "--json")))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if json.Valid(lines.Bytes()) && len(lines.Bytes()) > 0 {
			n++
		}
	}
	return n
}

// waitDrained waits until the queue is empty.
func (s *served) waitDrained() {
	require.Eventually(s.t, func() bool {
		list, ok := s.status()
		return ok && list[0].Waiting == 0
	}, 2*time.Minute, 100*time.Millisecond)
}

// TestChaos combines failures: the remote fails in twenty-seven ways, and the server is killed, frozen and restarted under load.
// Every accepted event gets its verdict, no older request follows a newer one, every user has the state of the newest event, and
// the server's resources return to their initial level. LANDFALL_CHAOS=1 runs the long form.
func TestChaos(t *testing.T) {
	otherwise, disturbances, long := shortLoad, 4, os.Getenv("LANDFALL_CHAOS") != ""
	if long {
		otherwise, disturbances = 200_000, 60
	}
	n := events(t, otherwise)
	t.Setenv("GOGC", "100") // otherwise the server may keep garbage for two minutes, and the heap is compared below
	remote := newChaoticRemote(t, long)
	s := newServed(t, serveConfig, "--sandbox-url", remote.URL)
	s.start()
	load := newLoad(600, 6)
	load.send(s, 400, 4, func() {})
	s.waitSettled(400)
	before := s.usage()

	remote.on.Store(true)
	var sending sync.RWMutex
	done := make(chan struct{})
	go func() { defer close(done); load.sendDuringRestarts(s, n, 4, &sending) }()
	pause := max(300*time.Millisecond, time.Duration(n/disturbances)*100*time.Microsecond)
	for i := range disturbances {
		time.Sleep(pause)
		if i%2 == 0 {
			sending.Lock()
			s.kill(syscall.SIGKILL)
			s.start()
			sending.Unlock()
			continue
		}
		require.NoError(t, s.cmd.Process.Signal(syscall.SIGSTOP))
		time.Sleep(500 * time.Millisecond)
		require.NoError(t, s.cmd.Process.Signal(syscall.SIGCONT))
	}
	<-done
	waitForMisbehaviors(t, remote, load, s, &n)
	remote.on.Store(false)

	counts := s.waitSettled(int64(n) + 400)
	assert.Equal(t, int64(n)+400, counts["events"]-counts["duplicate"], "%v", counts)
	letters := s.letters()
	t.Logf("%d events, %d kinds of failure: %v; %d letters", n+400, len(remote.met), counts, letters)
	if long {
		s.output("dead", "replay", "--instance", "braze-main")
		s.waitDrained()
		require.Eventually(t, func() bool { return s.letters() == 0 }, time.Minute, 200*time.Millisecond)
	} else {
		require.Zero(t, letters)
	}
	require.Eventually(t, func() bool { return len(load.misplacedUsers(t, remote.URL)) == 0 }, time.Minute, 500*time.Millisecond,
		"users who are not where their newest event says: %v", load.misplacedUsers(t, remote.URL))
	remote.checkOrder(t, load)

	s.client.CloseIdleConnections()
	var after usage
	assert.Eventually(t, func() bool {
		after = s.usage()
		return after.descriptors <= before.descriptors+20 && after.goroutines <= before.goroutines+40 && after.megabytes <= before.megabytes+64
	}, 2*time.Minute, time.Second)
	t.Logf("before %+v, after %+v", before, after)
}

// waitForMisbehaviors sends more events until the remote has used all of its misbehaviors.
func waitForMisbehaviors(t *testing.T, remote *chaoticRemote, load *load, s *served, sent *int) {
	met := func() int {
		remote.mu.Lock()
		defer remote.mu.Unlock()
		return len(remote.met)
	}
	for seen, since := 0, time.Now(); time.Since(since) < time.Minute; {
		n := met()
		if n == len(remote.all) {
			return
		}
		if n > seen {
			seen, since = n, time.Now()
		}
		load.send(s, 400, 4, func() {})
		*sent += 400
		time.Sleep(200 * time.Millisecond)
	}
	require.Fail(t, "the remote has not shown all that it can do", "%d of %d", met(), len(remote.all))
}
