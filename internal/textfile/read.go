package textfile

import (
	"fmt"
	"io"
	"io/fs"
)

// MaxFile is the size of the largest file that ReadFile reads, in bytes.
const MaxFile = 64 << 20

// ReadFile reads a file that a user named, and that OpenFile opens. The error is a *fs.PathError, also for a file that is larger than MaxFile.
func ReadFile(path string) ([]byte, error) {
	text, err := ReadAtMost(path, MaxFile)
	if err == nil && len(text) > MaxFile {
		return nil, &fs.PathError{Op: "read", Path: path, Err: fmt.Errorf("it is larger than %d MB", MaxFile>>20)}
	}
	return text, err
}

// ReadAtMost reads a file up to a number of bytes and one more, so that the caller can tell that it is larger. The file can also be a
// pipe of process substitution, which may have no end.
func ReadAtMost(path string, most int) ([]byte, error) {
	f, err := OpenFile(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, int64(most)+1))
}
