package room

import (
	"os"
	"sync/atomic"
)

// LeastHeap is a heap that is small, and yet not collected over and over: 32 MB.
const LeastHeap = 32 << 20

// reserve holds bytes that are never touched: they take addresses, not memory.
var reserve atomic.Pointer[[]byte]

// Heap lets the heap of this process grow by as many bytes as least before the first garbage is collected, and by as many more
// each time. Go else collects a heap that holds little every few megabytes, which costs a process that takes many events a tenth
// of its speed on one core and more on several. It does nothing where the environment sets GOGC or GOMEMLIMIT: somebody has decided.
// It is for the main function of a program, which calls it once.
func Heap(least int) {
	if os.Getenv("GOGC") == "" && os.Getenv("GOMEMLIMIT") == "" {
		bytes := make([]byte, least)
		reserve.Store(&bytes)
	}
}
