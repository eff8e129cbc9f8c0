package cli

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// smallDisk mounts a small file system for a test. It skips the test if mounting is not permitted.
func smallDisk(t *testing.T, size string) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
		t.Skipf("a disk of its own cannot be mounted: %v", err)
	}
	t.Cleanup(func() { assert.NoError(t, syscall.Unmount(dir, syscall.MNT_DETACH)) })
	return dir
}

// fillDisk fills the free space of a disk.
func fillDisk(t *testing.T, dir string) {
	file, err := os.OpenFile(filepath.Join(dir, "filler"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	require.NoError(t, err)
	defer file.Close()
	for size := 1 << 20; size >= 4096; {
		if _, err := file.Write(make([]byte, size)); err != nil {
			size /= 2
		}
	}
}

// probe returns the server's response to a GET.
func (s *served) probe(path string) (status int, body string) {
	answer, err := s.client.Get(s.url + path)
	require.NoError(s.t, err)
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	require.NoError(s.t, err)
	return answer.StatusCode, string(text)
}

// TestDiskFullAndFreeAgain fills the disk for a while under load. The server reports it and continues without a restart when space
// is free again; all accepted events are delivered.
func TestDiskFullAndFreeAgain(t *testing.T) {
	for name, minFree := range map[string]string{"with a reserve": "16000000", "without a reserve": "1"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sandbox, disk := newBrazeSandbox(t), smallDisk(t, "128m")
			config := replaceOnce(t, serveConfig, "linger: 50ms", "linger: 50ms, lease: 4s, minFreeBytes: "+minFree)
			s := newServed(t, config, "--sandbox-url", sandbox.URL, "--data", filepath.Join(disk, "data"))
			s.start()
			load := newLoad(200, 6)
			for range 20 {
				s.post(load.batch(100, 0, 1))
			}
			s.waitSettled(2000)
			sent, done, stop := 2000, make(chan struct{}), make(chan struct{})
			go func() {
				defer close(done)
				for !t.Failed() {
					s.post(load.batch(100, 0, 1))
					sent += 100
					select {
					case <-stop:
						return
					case <-time.After(50 * time.Millisecond):
					}
				}
			}()
			reasons := ""
			assert.Eventually(t, func() bool {
				fillDisk(t, disk)
				status, text := s.probe("/readyz")
				reasons = text
				list, ok := s.status() // which agrees with the readiness, unless a file was deleted in between
				return status == http.StatusServiceUnavailable && strings.Contains(text, "no delivery: the log accepts no writes: ") && ok && !list[0].Delivering
			}, 60*time.Second, 100*time.Millisecond, "the server is not ready while its disk is full")
			assert.Contains(t, reasons, "free space on the disk")
			time.Sleep(2 * time.Second) // under load
			require.NoError(t, os.Remove(filepath.Join(disk, "filler")))
			time.Sleep(time.Second)
			close(stop)
			<-done
			require.Eventually(t, func() bool { status, _ := s.probe("/readyz"); return status == 200 }, time.Minute, 100*time.Millisecond)
			counts := s.waitSettled(int64(sent))
			load.check(t, sandbox.URL)
			t.Logf("%d events: %v", sent, counts)
		})
	}
}

// replaceOnce replaces a part of a config, which must occur in it.
func replaceOnce(t *testing.T, config, old, new string) string {
	require.Contains(t, config, old)
	return strings.Replace(config, old, new, 1)
}

// TestDoctorKnowsTheReserveOfSmallDisks checks that doctor measures a disk against the space that a server keeps free on it by default.
func TestDoctorKnowsTheReserveOfSmallDisks(t *testing.T) {
	disk := smallDisk(t, "64m")
	file := filepath.Join(t.TempDir(), "landfall.yaml")
	require.NoError(t, os.WriteFile(file, []byte(serveConfig), 0o600))
	_, out := command(t, "doctor", "--config", file, "--data", disk)
	assert.Regexp(t, `ok +disk +6[0-9] MB are free\n`, out)
	require.NoError(t, os.WriteFile(filepath.Join(disk, "filler"), make([]byte, 60<<20), 0o600))
	_, out = command(t, "doctor", "--config", file, "--data", disk)
	assert.Regexp(t, `problem +disk +[0-4] MB are free and 6 MB must stay free: no events are accepted\n`, out)
}
