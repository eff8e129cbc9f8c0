package delivery

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// ErrInUse is wrapped by Open where another process uses the directory.
var ErrInUse = errors.New("the data directory is in use by another process")

// lockDir keeps other processes out of a directory until unlock, or until the process ends however it does.
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

// Lock keeps other processes that call it out of a data directory until unlock. The error wraps ErrInUse if one is in it.
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

// freeBytes is what the disk of a directory has left for this user.
func freeBytes(dir string) (int64, error) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		return 0, err
	}
	return int64(s.Bavail) * int64(s.Bsize), nil
}
