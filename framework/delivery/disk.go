package delivery

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"github.com/landfall-dev/landfall/internal/diskspace"
)

// ErrInUse is wrapped by Open if another process uses the directory.
var ErrInUse = errors.New("the data directory is in use by another process")

// lockDir locks a directory against other processes until unlock is called or the process ends.
func lockDir(dir string) (unlock func(), err error) {
	file, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = file.Close()
		return nil, fmt.Errorf("%w: %s", ErrInUse, dir)
	}
	return func() { _ = file.Close() }, nil
}

// Lock locks a data directory against other processes that call it. The error wraps ErrInUse if another process holds the lock.
func Lock(dir string) (unlock func(), err error) { return lockDir(dir) }

// InUse reports whether a process uses a queue's directory.
func InUse(dir string) bool {
	if _, err := os.Stat(filepath.Join(dir, "lock")); err != nil {
		return false
	}
	unlock, err := lockDir(dir)
	if err != nil {
		return errors.Is(err, ErrInUse)
	}
	unlock()
	return false
}

// DefaultMinFree returns the default of Config.MinFreeBytes for a directory: 256 MB, or a tenth of a small disk.
func DefaultMinFree(dir string) int64 {
	const maxFree = 256 << 20
	_, total, err := diskspace.Of(dir)
	if err != nil || total <= 0 {
		return maxFree
	}
	return max(min(maxFree, total/10), 1)
}

// trimBelow returns the free space below which delivered events are deleted.
func (q *Queue) trimBelow() int64 { return q.config.MinFreeBytes + max(q.config.MinFreeBytes/4, 4<<20) }

// diskNeeded returns how many bytes to free by deleting delivered events; 0 for none, or without a disk.
func (q *Queue) diskNeeded() int64 {
	if !q.hasDisk() {
		return 0
	}
	free, _, err := diskspace.Of(q.config.Dir)
	if err != nil || free >= q.trimBelow() {
		return 0
	}
	return q.trimBelow() + q.config.MinFreeBytes - free
}

// canDeleteSafely reports whether the embedded server has enough disk space to delete events. It deadlocks if a write fails
// during a deletion, so nothing is deleted while the disk is almost full.
func (q *Queue) canDeleteSafely() bool {
	if !q.hasDisk() {
		return true
	}
	if q.logFailure() != nil {
		return false
	}
	free, _, err := diskspace.Of(q.config.Dir)
	return err == nil && free >= max(q.config.MinFreeBytes/4, 1<<20)
}

// hasSpareSpace reports whether the disk has space for a number of bytes and twice MinFreeBytes beyond that.
func (q *Queue) hasSpareSpace(bytes int64) bool {
	if !q.hasDisk() {
		return true
	}
	free, _, err := diskspace.Of(q.config.Dir)
	return err != nil || free-bytes >= 2*q.config.MinFreeBytes
}

// canPark reports whether the disk has space to park more events, after those that are being written.
func (q *Queue) canPark() bool {
	if !q.hasDisk() {
		return true
	}
	free, _, err := diskspace.Of(q.config.Dir)
	return err != nil || free-q.parked.unsavedBytes.Load()-q.events.unsavedBytes.Load()-q.journaledBytes() >= q.config.MinFreeBytes
}

// journaledBytes returns how many bytes of accepted events are to be written again.
func (q *Queue) journaledBytes() int64 {
	if q.journal == nil {
		return 0
	}
	return int64(q.journal.waitingBytes())
}

// spaceError means that a disk has less free space than MinFreeBytes. It wraps ErrFull.
type spaceError struct{ free, least int64 }

func (e *spaceError) Error() string {
	return fmt.Sprintf("the disk has %s free, and %s must stay free", sizeText(e.free), sizeText(e.least))
}

func (e *spaceError) Unwrap() error { return ErrFull }

// sizeText formats a number of bytes.
func sizeText(n int64) string {
	switch {
	case n < 1000:
		return fmt.Sprintf("%d bytes", n)
	case n < 10_000_000:
		return fmt.Sprintf("%.1f MB", float64(n)/1e6)
	}
	return fmt.Sprintf("%d MB", n/1_000_000)
}

// checkDiskSpace returns a *spaceError if the disk has less free space than MinFreeBytes.
func (q *Queue) checkDiskSpace() error {
	if !q.hasDisk() {
		return nil
	}
	if free, _, err := diskspace.Of(q.config.Dir); err == nil && free-q.journaledBytes() < q.config.MinFreeBytes {
		return &spaceError{free, q.config.MinFreeBytes}
	}
	return nil
}
