// Package testport chooses ports for the programs and servers that tests start.
package testport

import (
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
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

// Free returns an address of this machine with a port on which nothing listens. It returns each port once.
func Free(t testing.TB) string {
	t.Helper()
	mu.Lock()
	defer mu.Unlock()
	for range 1000 {
		port := first + rand.IntN(last-first+1)
		if chosen[port] {
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
