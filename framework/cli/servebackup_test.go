package cli

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/runtime/instances"
	"github.com/landfall-dev/landfall/framework/state"
)

// command runs a command of the binary beside a server's config.
func (s *served) command(args ...string) (string, error) {
	file, err := binary()
	require.NoError(s.t, err)
	cmd := exec.Command(file, args...)
	cmd.Dir = s.dir
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func (s *served) mustRun(args ...string) string {
	s.t.Helper()
	out, err := s.command(args...)
	require.NoError(s.t, err, "%v: %s", args, out)
	return out
}

// otherUsers returns the batch with other users, whose events the backup need not contain.
func otherUsers(batch []byte) []byte {
	return bytes.ReplaceAll(bytes.ReplaceAll(batch, []byte(`"userId":"u`), []byte(`"userId":"w`)), []byte(`"messageId":"m`), []byte(`"messageId":"w`))
}

// checkUsers compares the sandbox with the newest event of each of the load's users. It ignores other users.
func (l *load) checkUsers(t *testing.T, sandbox string) (wrong int) {
	got := members(t, sandbox)
	for audience, users := range l.want {
		for user, member := range users {
			if got[audience][user] != member {
				wrong++
			}
		}
	}
	return wrong
}

// TestABackupUnderLoadLosesNothing takes a backup under load, kills the server and restores the backup: all events acknowledged
// before the backup are delivered in order, and no checkpoint is beyond the events.
func TestABackupUnderLoadLosesNothing(t *testing.T) {
	sandbox := newBrazeSandbox(t)
	s := newServed(t, serveConfig, "--sandbox-url", sandbox.URL)
	s.start()
	load, background := newLoad(2000, 6), newLoad(2000, 6)
	injectFaults(t, sandbox.URL, `{"path": "`+users+`", "delay_ms": 400, "times": 200}`)
	enough := make(chan struct{})
	var sending sync.WaitGroup
	for range 2 {
		sending.Go(func() {
			for {
				select {
				case <-enough:
					return
				default:
					s.tryPost(s.url, otherUsers(background.batch(100, 0, 1)))
				}
			}
		})
	}
	load.send(s, 10_000, 4, func() {})
	dir := filepath.Join(t.TempDir(), "backup")
	out := s.mustRun("backup", "--json", dir)
	assert.Contains(t, out, `"EVENTS.snapshot"`)
	time.Sleep(time.Second) // more is accepted and delivered
	close(enough)
	sending.Wait()
	s.kill(syscall.SIGKILL)
	require.NoError(t, os.RemoveAll(filepath.Join(s.dir, "landfall-data")))
	s.mustRun("restore", dir)
	out = s.mustRun("doctor")
	assert.NotContains(t, out, "problem")
	s.start()
	require.Eventually(t, func() bool {
		list, ok := s.status()
		return ok && list[0].Waiting == 0 && list[0].Behind == 0 && load.checkUsers(t, sandbox.URL) == 0
	}, 90*time.Second, 200*time.Millisecond)
	s.mustRun("doctor") // also while it runs

	out, err := s.command("restore", dir)
	require.Error(t, err)
	assert.Contains(t, out, "not empty")
	_, err = s.command("restore", "--replace", dir)
	require.Error(t, err, "it is in use")
	s.kill(syscall.SIGTERM)
	s.mustRun("backup", filepath.Join(t.TempDir(), "stopped"))
	s.mustRun("restore", "--replace", dir)
	s.start()
}

// TestDoctorFindsProblems checks that landfall doctor reports each problem and what to do.
func TestDoctorFindsProblems(t *testing.T) {
	sandbox := newBrazeSandbox(t)
	s := newServed(t, serveConfig, "--sandbox-url", sandbox.URL)
	s.start()
	newLoad(100, 2).send(s, 1000, 1, func() {})
	s.waitSettled(1000)
	s.kill(syscall.SIGTERM)
	data := filepath.Join(s.dir, "landfall-data")
	whole := t.TempDir()
	require.NoError(t, os.CopyFS(filepath.Join(whole, "data"), os.DirFS(data)))
	name := state.SandboxName(false, sandbox.URL)
	ledger, events := state.File(name), filepath.Join(instances.QueueName(name), "jetstream", "$G", "streams", "EVENTS")
	for name, c := range map[string]struct {
		change func(t *testing.T)
		checks []string
	}{
		"readable by others": {func(t *testing.T) { require.NoError(t, os.Chmod(data, 0o755)) }, []string{"permissions"}},
		"a bit of the log": {func(t *testing.T) {
			file := filepath.Join(data, events, "msgs", "1.blk")
			text, err := os.ReadFile(file)
			require.NoError(t, err)
			text[len(text)/2] ^= 4
			require.NoError(t, os.WriteFile(file, text, 0o600))
		}, []string{"log"}},
		"no events": {func(t *testing.T) { require.NoError(t, os.RemoveAll(filepath.Join(data, events))) }, []string{"checkpoints", "log"}},
		"a damaged ledger": {func(t *testing.T) {
			file := filepath.Join(data, ledger)
			text, err := os.ReadFile(file)
			require.NoError(t, err)
			for i := 4096; i < len(text); i++ {
				text[i] = 0xff
			}
			require.NoError(t, os.WriteFile(file, text, 0o600))
		}, []string{"ledger"}},
		"a config with a mistake": {func(t *testing.T) {
			require.NoError(t, os.WriteFile(filepath.Join(s.dir, "landfall.yaml"), []byte(serveConfig+"\nwrong: 1\n"), 0o600))
		}, []string{"config"}},
		"a clock that was set back": {func(t *testing.T) {
			later := time.Now().Add(time.Hour)
			require.NoError(t, os.Chtimes(filepath.Join(data, ledger), later, later))
		}, []string{"clock"}},
		"a disk that is almost full": {func(t *testing.T) {
			full := strings.Replace(serveConfig, "linger: 50ms", "linger: 50ms, minFreeBytes: 1000000000000000", 1)
			require.NoError(t, os.WriteFile(filepath.Join(s.dir, "landfall.yaml"), []byte(full), 0o600))
		}, []string{"disk"}},
	} {
		t.Run(name, func(t *testing.T) {
			require.NoError(t, os.RemoveAll(data))
			require.NoError(t, os.CopyFS(data, os.DirFS(filepath.Join(whole, "data"))))
			require.NoError(t, os.Chmod(data, 0o700))
			require.NoError(t, os.WriteFile(filepath.Join(s.dir, "landfall.yaml"), []byte(serveConfig), 0o600))
			assert.NotContains(t, s.mustRun("doctor"), "problem")
			c.change(t)
			out, err := s.command("doctor", "--json")
			var exit *exec.ExitError
			require.ErrorAs(t, err, &exit, "%s", out)
			assert.Equal(t, 1, exit.ExitCode())
			problems := map[string]bool{}
			for line := range strings.Lines(out) {
				if !strings.HasPrefix(line, "{") {
					continue // a note on standard error
				}
				var f finding
				require.NoError(t, json.Unmarshal([]byte(line), &f), line)
				if f.Status == isProblem {
					problems[f.Check] = true
					assert.NotEmpty(t, f.Next, line)
				}
			}
			assert.Equal(t, c.checks, slices.Sorted(maps.Keys(problems)), "%s", out)
		})
	}
}
