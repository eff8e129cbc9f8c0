package state

import (
	"io/fs"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
)

// TestDataDirectoriesThatCannotBeUsed checks what is said to do about each cause.
func TestDataDirectoriesThatCannotBeUsed(t *testing.T) {
	for code, want := range map[syscall.Errno]string{
		syscall.EACCES:  ": make the directory, and give it to the user of this process with chown, or give another one",
		syscall.EROFS:   ": the file system is read-only: make the directory, and give it to the user of this process with chown, or give another one",
		syscall.ENOSPC:  ": the disk is full: free space on it",
		syscall.ENOTDIR: ": give a directory, which is created if it does not exist",
	} {
		err := dataDirError(&fs.PathError{Op: "mkdir", Path: "/srv/none/data", Err: code}, "give a directory, which is created if it does not exist")
		assert.True(t, strings.HasPrefix(err.Error(), "the data directory: /srv/none/data: ") && strings.HasSuffix(err.Error(), want), err)
		assert.ErrorIs(t, err, code)
	}
}
