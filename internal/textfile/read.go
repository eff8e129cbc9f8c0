package textfile

import (
	"io"
	"os"
)

// ReadAtMost reads a file up to a number of bytes and one more, so that the caller can tell that it is larger. The file can also be a pipe
// or a device, which may have no end.
func ReadAtMost(path string, most int) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, int64(most)+1))
}
