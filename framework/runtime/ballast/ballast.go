// Package ballast makes Go collect a small heap less often. A program with a small heap that processes many events calls [Reserve]
// once, as the first thing that main does:
//
//	ballast.Reserve(ballast.DefaultSize)
//
// A larger reserve is faster while the memory of the process grows by as much: on two cores, the benchmark of the library processes 1.3 million
// events per second with 32 MB, 1.5 million with 128 MB, and 0.95 million with 4 MB.
//
// A library must not call it, because it changes the garbage collection of the whole process; cli.Main calls it for its program. The
// reserve takes addresses, not memory. Reserve is safe for concurrent use.
package ballast

import (
	"os"
	"sync/atomic"
)

// DefaultSize is the reserve of Landfall's own programs: 32 MB.
const DefaultSize = 32 << 20

// reserve holds bytes that are never touched: they take addresses, not memory.
var reserve atomic.Pointer[[]byte]

// Reserve lets the heap grow by size bytes before each garbage collection. By default a small live heap makes Go collect every few
// megabytes, which costs a program that processes many events a tenth of its speed on one core and more on several. Reserve does
// nothing if GOGC or GOMEMLIMIT is set in the environment: the operator has chosen a policy.
func Reserve(size int) {
	if os.Getenv("GOGC") == "" && os.Getenv("GOMEMLIMIT") == "" {
		ballast := make([]byte, size)
		reserve.Store(&ballast)
	}
}
