package sortedfile

import (
	"os"
	"runtime/debug"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// A mapping is a file in the address space of the process. Copying a block from it takes half of the time of a system call, as long as the block is
// in the page cache. Otherwise the copy stops a processor of the Go runtime until the disk has answered, which a system call does not; so lookups
// use system calls for a while once a copy had to wait for the disk.
type mapping struct {
	mu     sync.RWMutex // its readers use data
	data   []byte       // nil if the file is not mapped
	paused atomic.Int64 // the time of sinceStart until which nothing is copied
	waits  atomic.Int64 // pageWaits, when it was last asked
}

const (
	minMapped = 1 << 20 // bytes of a file that is worth a mapping
	maxMapped = 1 << 28 // on machines whose addresses have 32 bits

	slowCopy  = 50 * time.Microsecond // longer than a copy without the disk takes, unless the thread had to wait for a processor
	copyPause = time.Second
)

var start = time.Now()

// sinceStart returns the time of a clock that no one sets.
func sinceStart() time.Duration { return time.Since(start) }

// pageWaits returns how often the threads of this process have waited for a page of a mapping that was not in the page cache.
func pageWaits() int64 {
	var usage unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &usage) != nil {
		return 0
	}
	return int64(usage.Majflt)
}

// open maps a file, unless it is small or that fails.
func (m *mapping) open(f *os.File) {
	info, err := f.Stat()
	if err != nil || info.Size() < minMapped || strconv.IntSize == 32 && info.Size() > maxMapped {
		return
	}
	data, err := unix.Mmap(int(f.Fd()), 0, int(info.Size()), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return
	}
	_ = unix.Madvise(data, unix.MADV_RANDOM) // no pages but those of the block are read
	m.data = data
	m.waits.Store(pageWaits())
}

// close waits until all copies have ended.
func (m *mapping) close() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.data != nil {
		_ = unix.Munmap(m.data)
		m.data = nil
	}
}

// copy fills b with the bytes at offset. If it returns false, they must be read from the file.
func (m *mapping) copy(b []byte, offset int64) bool {
	began := sinceStart()
	if int64(began) < m.paused.Load() {
		return false
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	if offset+int64(len(b)) > int64(len(m.data)) {
		return false
	}
	copied := copyMapped(b, m.data[offset:])
	if took := sinceStart() - began; !copied || took > slowCopy {
		m.noteSlow(began+took, copied)
	}
	return copied
}

// noteSlow pauses copies if the last one failed, or waited for the disk. A copy can also be slow because other threads have the processors.
func (m *mapping) noteSlow(now time.Duration, copied bool) {
	waits := pageWaits()
	if waits > m.waits.Load() || !copied {
		m.waits.Store(waits)
		m.paused.Store(int64(now + copyPause))
	}
}

// copyMapped copies from a mapping. It returns false where the file cannot be read, since it was truncated or its disk fails.
func copyMapped(to, from []byte) (ok bool) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			if _, isFault := p.(interface{ Addr() uintptr }); !isFault {
				panic(p)
			}
			ok = false
		}
	}()
	copy(to, from)
	return true
}
