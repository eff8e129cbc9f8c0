package cli

import (
	"fmt"
	"io"
	"os"
	"syscall"

	"github.com/landfall-dev/landfall/framework/fault"
)

// openInput opens a file, or standard input if file is "-".
func openInput(file string, stdin io.Reader) (io.ReadCloser, error) {
	if file == "-" {
		return io.NopCloser(stdin), nil
	}
	info, err := os.Stat(file)
	if err == nil && info.IsDir() {
		err = syscall.EISDIR
	}
	if err == nil {
		var f *os.File
		if f, err = os.Open(file); err == nil {
			return f, nil
		}
	}
	return nil, fmt.Errorf("%s: %s", file, fault.FileReason(err))
}

// readFile reads a file that was named on the command line. The error names it and says why it cannot be read.
func readFile(file string) ([]byte, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("%s: %s", file, fault.FileReason(err))
	}
	return text, nil
}
