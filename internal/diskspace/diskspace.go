// Package diskspace measures the space of disks.
package diskspace

import "syscall"

// least is the free space in bytes below which a disk counts as full: programs fail in many ways when so little is left.
const least = 1 << 20

// Of returns the bytes that are free for this user on the disk of a directory, and the size of the disk.
func Of(dir string) (free, total int64, err error) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		return 0, 0, err
	}
	return int64(s.Bavail) * int64(s.Bsize), int64(s.Blocks) * int64(s.Bsize), nil
}

// IsFull reports whether the disk of a directory is full, or nearly so. It is false if that is not known.
func IsFull(dir string) bool {
	free, _, err := Of(dir)
	return err == nil && free < least
}
