package testport

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestPortsAreFree checks that each port is returned once, that a server can listen on it, and that it is none which the kernel gives to others.
func TestPortsAreFree(t *testing.T) {
	seen := map[int]bool{}
	for range 50 {
		port := Number(t)
		assert.False(t, seen[port], port)
		assert.True(t, port >= first && port <= last, port)
		seen[port] = true
		listener, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(port))
		require.NoError(t, err)
		defer listener.Close()
	}
}

// TestTakenPortsAreNotFree checks that a port on which something listens is not returned.
func TestTakenPortsAreNotFree(t *testing.T) {
	kept, err := net.Listen("tcp", Free(t))
	require.NoError(t, err)
	defer kept.Close()
	clear(chosen)
	for range 500 {
		assert.NotEqual(t, kept.Addr().String(), Free(t))
	}
}

// TestHeldAddresses checks that an address is held until the test ends, also if another one has it for a moment.
func TestHeldAddresses(t *testing.T) {
	address := Free(t)
	t.Run("part", func(t *testing.T) {
		other, err := net.Listen("tcp", address)
		require.NoError(t, err)
		time.AfterFunc(50*time.Millisecond, func() { _ = other.Close() })
		Hold(t, address)
		_, err = net.Listen("tcp", address)
		assert.Error(t, err)
	})
	after, err := net.Listen("tcp", address)
	require.NoError(t, err)
	require.NoError(t, after.Close())
}

// TestPortsOfOtherProcesses checks that a port which one process has got is not free for another, also if nothing listens there.
func TestPortsOfOtherProcesses(t *testing.T) {
	const variable = "LANDFALL_TEST_PORT"
	if port, err := strconv.Atoi(os.Getenv(variable)); err == nil { // the other process
		fmt.Println("reserved:", reserve(t, port))
		return
	}
	reservedByOther := func(port int) string {
		cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$")
		cmd.Env = append(os.Environ(), variable+"="+strconv.Itoa(port))
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, string(out))
		return string(out)
	}
	assert.Contains(t, reservedByOther(Number(t)), "reserved: false")
	assert.Contains(t, reservedByOther(last+1), "reserved: true", "one that no process has got")
}
