package textfile

import (
	"errors"
	"fmt"
	"os"

	"github.com/landfall-dev/landfall/framework/fault"
)

// Unnamed creates a file without a name in the system's temporary directory: it is gone when it is closed, and when the process is killed. The prefix is
// that of the name in errors.
func Unnamed(prefix string) (*os.File, error) {
	f, err := os.CreateTemp("", prefix)
	if err != nil {
		return nil, temporaryError(err)
	}
	if err := os.Remove(f.Name()); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// TemporaryDir creates a directory in the system's temporary directory. The caller removes it.
func TemporaryDir(prefix string) (string, error) {
	dir, err := os.MkdirTemp("", prefix)
	return dir, temporaryError(err)
}

// temporaryError says what to do if a temporary file cannot be created.
func temporaryError(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("no temporary file can be created: %w: set TMPDIR to a directory that can be written", fault.File(err))
}
