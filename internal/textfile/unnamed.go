package textfile

import (
	"errors"
	"os"
)

// Unnamed creates a file without a name in the system's temporary directory: it is gone when it is closed, and when the process is killed. The prefix is
// that of the name in errors.
func Unnamed(prefix string) (*os.File, error) {
	f, err := os.CreateTemp("", prefix)
	if err != nil {
		return nil, err
	}
	if err := os.Remove(f.Name()); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}
