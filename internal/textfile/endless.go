package textfile

import (
	"bytes"
	"fmt"
	"io"
)

// maxLineSkipped is how many bytes of a line are read in search of its end.
const maxLineSkipped = 64 << 20

// EndlessLineError reports that a line does not end, as in a device or a file that is not text.
type EndlessLineError struct{}

func (e *EndlessLineError) Error() string {
	return fmt.Sprintf("a line has no end within %d MB: the input is not a text with an entry on each line", maxLineSkipped>>20)
}

// endingLines passes a text through and fails at a line that does not end.
type endingLines struct {
	text   io.Reader
	length int // bytes of the current line so far
}

func (r *endingLines) Read(p []byte) (int, error) {
	n, err := r.text.Read(p)
	if at := max(bytes.LastIndexByte(p[:n], '\n'), bytes.LastIndexByte(p[:n], '\r')); at >= 0 {
		r.length = n - at - 1
	} else if r.length += n; r.length > maxLineSkipped {
		return 0, &EndlessLineError{}
	}
	return n, err
}
