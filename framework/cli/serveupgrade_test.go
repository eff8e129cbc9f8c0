package cli

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/runtime/instances"
	"github.com/landfall-dev/landfall/framework/state/statetest"
	"github.com/landfall-dev/landfall/internal/testport"
)

// earlierCommit is the version to upgrade from. Its admin API is on the ingest port.
const earlierCommit = "5cab0dd"

// earlierBinary returns the command of the earlier version: LANDFALL_OLD_BINARY, or a binary that is built from the history.
func earlierBinary(t *testing.T) string {
	t.Helper()
	if file := os.Getenv("LANDFALL_OLD_BINARY"); file != "" {
		return file
	}
	file, err := buildEarlier()
	require.NoError(t, err)
	if file == "" {
		t.Skipf("the history does not have the commit %s to build the earlier version from; LANDFALL_OLD_BINARY names a binary", earlierCommit)
	}
	return file
}

// buildEarlier builds the earlier version once for all tests. It returns "" if the history does not contain it.
var buildEarlier = sync.OnceValues(func() (string, error) {
	root, err := exec.Command("git", "rev-parse", "--show-toplevel").Output()
	top := strings.TrimSpace(string(root))
	if err != nil || exec.Command("git", "-C", top, "cat-file", "-e", earlierCommit+"^{commit}").Run() != nil {
		return "", nil
	}
	dir := filepath.Join(os.Getenv(builtVariable), "earlier")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return "", err
	}
	archive := filepath.Join(dir, "source.tar")
	for _, args := range [][]string{
		{"git", "-C", top, "archive", "-o", archive, earlierCommit},
		{"tar", "-x", "-f", archive, "-C", dir},
		{"go", "build", "-C", dir, "-trimpath", "-o", filepath.Join(dir, "earlier"), "./cmd/landfall"},
	} {
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			return "", fmt.Errorf("%v: %w: %s", args, err, out)
		}
	}
	return filepath.Join(dir, "earlier"), nil
})

// exchange stops a server with SIGTERM and starts it with another binary; "" is the present one.
func (s *served) exchange(binary string) {
	s.kill(syscall.SIGTERM)
	s.earlier = binary
	s.start()
}

// logText returns the log of the server.
func (s *served) logText() string {
	text, err := os.ReadFile(s.log.Name())
	require.NoError(s.t, err)
	return string(text)
}

// unpackEarlierData unpacks a data directory of the earlier version into a directory.
func unpackEarlierData(t *testing.T, dir string) {
	t.Helper()
	file, err := os.Open(filepath.Join("testdata", "earlier", "data.tgz"))
	require.NoError(t, err)
	defer file.Close()
	z, err := gzip.NewReader(file)
	require.NoError(t, err)
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		require.NoError(t, err)
		to := filepath.Join(dir, filepath.Clean("/"+h.Name))
		if h.FileInfo().IsDir() {
			require.NoError(t, os.MkdirAll(to, 0o700))
			continue
		}
		text, err := io.ReadAll(r)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(to, text, 0o600))
	}
}

// A data directory of a server of the earlier version that was killed: 45 events delivered (d0 to d39, q0 to q4), one dead (poison),
// eleven parked (k0 to k4 entered and left, k0 entered again), 41 waiting (w0 to w29 entered, w0 to w9 left, d0 left), and the
// ledger. The present version delivers what waits, sends nothing again that was delivered, and replays the dead letters; testdata/earlier
// says how the directory was made.
func TestDataOfAnEarlierVersionIsAdopted(t *testing.T) {
	sandbox := newBrazeSandbox(t)
	braze := trustedBraze(t, sandbox.URL)
	s := newServed(t, strings.Replace(serveConfig, "https://rest.iad-01.braze.com", braze.URL, 1))
	unpackEarlierData(t, filepath.Join(s.dir, instances.DefaultData))
	s.start()
	counts := s.waitSettled(98)
	assert.EqualValues(t, 86, counts["delivered"]+counts["skipped"], "%v", counts)
	assert.EqualValues(t, 1, counts["dead"])
	assert.EqualValues(t, 11, counts["parked"])
	want := map[string]bool{}
	for n := 10; n < 30; n++ {
		want[fmt.Sprintf("w%d", n)] = true
	}
	assert.Equal(t, want, members(t, sandbox.URL)["aud_vip"], "what was delivered before is not sent again")
	_, sent := s.get(sandbox.URL + "/__sandbox/requests")
	for n := 1; n < 40; n++ {
		assert.NotContains(t, sent, fmt.Sprintf(`"d%d"`, n))
	}

	config := []string{"--config", filepath.Join(s.dir, "landfall.yaml")}
	code, out := command(t, append([]string{"doctor"}, config...)...)
	assert.Zero(t, code, out)
	code, out = command(t, append([]string{"members", "list", "--json"}, config...)...)
	require.Zero(t, code, out)
	assert.Contains(t, out, `"members":64`, "44 of the earlier version, 20 of this one")
	code, out = command(t, append([]string{"dead", "replay", "--all"}, config...)...)
	require.Zero(t, code, out)
	require.Eventually(t, func() bool {
		list, ok := s.status()
		return ok && list[0].Counts["parked"] == 0 && list[0].Waiting == 0 && len(members(t, sandbox.URL)["aud_vip"]) == 22
	}, time.Minute, 50*time.Millisecond)
	want["k0"], want["poison"] = true, true
	assert.Equal(t, want, members(t, sandbox.URL)["aud_vip"], "k1 to k4 left, and k0 came back")
	assert.NotContains(t, s.logText(), "level=ERROR")

	s.exchange("")
	assert.NotContains(t, s.logText(), "level=ERROR")
	s.post(entered("new", "vip"))
	s.waitSettled(99)
	assert.True(t, members(t, sandbox.URL)["aud_vip"]["new"])
}

// TestAnEarlierVersionRefusesTheLog upgrades a data directory. Then the earlier version refuses its log, which has compressed pages, and the present one
// goes on with the waiting events. Nothing is lost, reordered or reported as damage.
func TestAnEarlierVersionRefusesTheLog(t *testing.T) {
	if testing.Short() {
		t.Skip("an earlier version is built")
	}
	earlier, remote := earlierBinary(t), newChaoticRemote(t, false)
	braze := trustedBraze(t, remote.URL)
	config := strings.NewReplacer("linger: 50ms", "linger: 50ms, maxBytes: 4194304", "https://rest.iad-01.braze.com", braze.URL).Replace(serveConfig)
	s := newServed(t, config)
	load, n := newLoad(500, 6), 0
	for i, round := range []struct {
		binary string
		events int
	}{{earlier, 3200}, {"", 400}, {"", 400}} {
		s.earlier = round.binary
		s.start()
		load.send(s, round.events, 4, func() {})
		if n += round.events; i < 2 {
			s.waitSettled(int64(n))
		}
		s.kill(syscall.SIGTERM)
		if round.binary == "" {
			assertRefused(t, s, earlier)
		}
	}
	s.start()
	s.waitSettled(int64(n))
	load.check(t, remote.URL)
	remote.checkOrder(t, load)
	assert.NotContains(t, s.logText(), "level=ERROR")
	code, out := command(t, "doctor", "--config", filepath.Join(s.dir, "landfall.yaml"))
	assert.Zero(t, code, out)
}

// assertRefused checks that an earlier version does not start as the server, and says that the log is not its own.
func assertRefused(t *testing.T, s *served, earlier string) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, earlier, "serve", "--config", filepath.Join(s.dir, "landfall.yaml"), "--listen", testport.Free(t)).CombinedOutput()
	var exit *exec.ExitError
	require.ErrorAs(t, err, &exit, "%s", out)
	assert.Equal(t, 1, exit.ExitCode(), "%s", out)
	assert.Contains(t, string(out), "message TTL status can not be disabled")
}

// sendToAny sends events from several senders at once, each batch to the first server that accepts it, until all are sent.
func (l *load) sendToAny(events, senders int, urls func() []string, client *served, sent *atomic.Int64) {
	var all sync.WaitGroup
	for sender := range senders {
		all.Go(func() {
			for n := range batchesOf(sender, senders, events) {
				batch := l.batch(100, sender, senders)
				for try := 0; ; try++ {
					list := urls()
					if len(list) > 0 && client.tryPost(list[(n+try)%len(list)], batch) {
						break
					}
				}
				sent.Add(100)
			}
		})
	}
	all.Wait()
}

// TestServersAreUpgradedOneByOne replaces two servers of an earlier version on a cluster one after the other under load, and
// downgrades one of them for a while. Nothing is lost or reported as damage, and every user has the state of the newest event.
func TestServersAreUpgradedOneByOne(t *testing.T) {
	if testing.Short() {
		t.Skip("three NATS servers, PostgreSQL and an earlier version")
	}
	earlier := earlierBinary(t)
	database := statetest.Start(t)
	c, remote := newCluster(t), newChaoticRemote(t, false) // which is only asked for the order of what it gets
	braze := trustedBraze(t, remote.URL)
	config := fmt.Sprintf("nats: {url: %q}\nstate: {url: %q}\n", c.urls(), database.URL) +
		strings.NewReplacer("linger: 50ms", "linger: 50ms, lease: 5s", "https://rest.iad-01.braze.com", braze.URL).Replace(serveConfig)
	a, b := newServed(t, config), newServed(t, config)
	var mu sync.Mutex
	up := map[*served]string{}
	urls := func() (list []string) {
		mu.Lock()
		defer mu.Unlock()
		for _, url := range up {
			list = append(list, url)
		}
		return list
	}
	replace := func(s *served, binary string) {
		mu.Lock()
		delete(up, s)
		mu.Unlock()
		s.exchange(binary)
		mu.Lock()
		up[s] = s.url
		mu.Unlock()
	}
	replace(a, earlier)
	replace(b, earlier)
	require.Equal(t, 8, waitOwned(t, a, 8))
	require.Equal(t, 8, waitOwned(t, b, 8))

	load, n := newLoad(1000, 6), events(t, shortLoad)
	var sent atomic.Int64
	done := make(chan struct{})
	go func() { defer close(done); load.sendToAny(n, 4, urls, a, &sent) }()
	steps := []struct {
		server *served
		binary string
	}{{a, ""}, {b, ""}, {b, earlier}, {b, ""}}
	for i, step := range steps {
		reached := int64((i + 1) * n / (len(steps) + 1))
		require.Eventually(t, func() bool { return sent.Load() >= reached }, 2*time.Minute, 10*time.Millisecond)
		replace(step.server, step.binary)
		require.Equal(t, 8, waitOwned(t, a, 8))
		require.Equal(t, 8, waitOwned(t, b, 8))
	}
	<-done
	counts := a.waitSettled(int64(n))
	assert.Zero(t, counts["dead"]+counts["parked"], "%v", counts)
	load.check(t, remote.URL)
	remote.checkOrder(t, load)
	for _, s := range []*served{a, b} {
		assert.NotContains(t, s.logText(), "level=ERROR")
	}
	upgradeState(t, a)
	a.post(entered("new", "vip"))
	waitMember(t, remote.URL, "new")
	t.Logf("%v", counts)
}

// upgradeState runs landfall state upgrade for a server's config: first without and then with confirmation, and again.
func upgradeState(t *testing.T, s *served) {
	args := []string{"state", "upgrade", "--config", filepath.Join(s.dir, "landfall.yaml")}
	code, out := command(t, append(args, "--dry-run")...)
	require.Zero(t, code, out)
	assert.Contains(t, out, "stop them first")
	code, out = command(t, append(args, "--yes")...)
	require.Zero(t, code, out)
	assert.Contains(t, out, "done")
	code, out = command(t, append(args, "--yes")...)
	require.Zero(t, code, out)
	assert.Contains(t, out, "nothing to do")
}

// waitMember waits until a user is in the audience vip of a sandbox.
func waitMember(t *testing.T, sandbox, user string) {
	require.Eventually(t, func() bool { return members(t, sandbox)["aud_vip"][user] }, time.Minute, 50*time.Millisecond)
}
