// Package testport chooses ports for the programs and servers that tests start.
package testport

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The range of the ports. The kernel gives the ports from 32768 on to connections and listeners that ask for any port, so one of them that is free
// now may be taken before a test listens there, or while a server that it restarts is down.
const first, last = 15_000, 32_767

var (
	mu     sync.Mutex // guards chosen
	chosen = map[int]bool{}
)

// Free returns an address of this machine with a port on which nothing listens. It returns each port once, and none that another process which runs
// tests at the same time has got, since its server may be about to listen there.
func Free(t testing.TB) string {
	t.Helper()
	mu.Lock()
	defer mu.Unlock()
	for range 1000 {
		port := first + rand.IntN(last-first+1)
		if chosen[port] || !reserve(t, port) {
			continue
		}
		listener, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err != nil {
			continue // another program has it
		}
		require.NoError(t, listener.Close())
		chosen[port] = true
		return listener.Addr().String()
	}
	require.Fail(t, "no port is free")
	return ""
}

// reservations is a file in which each process locks the bytes at the numbers of its ports. The kernel unlocks them when the process ends.
var reservations = sync.OnceValues(func() (*os.File, error) {
	return os.OpenFile(filepath.Join(os.TempDir(), fmt.Sprintf("landfall-test-ports-%d", os.Getuid())), os.O_CREATE|os.O_RDWR, 0o600)
})

// reserve reports whether a port is this process's. It is until the process ends, also while nothing listens there.
func reserve(t testing.TB, port int) bool {
	t.Helper()
	file, err := reservations()
	require.NoError(t, err)
	err = syscall.FcntlFlock(file.Fd(), syscall.F_SETLK, &syscall.Flock_t{Type: syscall.F_WRLCK, Whence: io.SeekStart, Start: int64(port), Len: 1})
	if errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.EACCES) {
		return false
	}
	require.NoError(t, err)
	return true
}

// Hold listens on an address until the test ends. Where another program listens all the time, that serves as well; another test does so for a moment.
func Hold(t testing.TB, address string) {
	t.Helper()
	for began := time.Now(); time.Since(began) < patience; time.Sleep(20 * time.Millisecond) {
		if listener, err := net.Listen("tcp", address); err == nil {
			t.Cleanup(func() { _ = listener.Close() })
			return
		}
	}
}

// patience is how long another test may hold an address.
const patience = 30 * time.Second

// Number is Free without the host.
func Number(t testing.TB) int {
	t.Helper()
	_, text, err := net.SplitHostPort(Free(t))
	require.NoError(t, err)
	port, err := strconv.Atoi(text)
	require.NoError(t, err)
	return port
}
