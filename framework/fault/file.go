package fault

import (
	"errors"
	"io/fs"
	"syscall"
)

// FileReason says why a file cannot be read, for messages that name the file themselves.
func FileReason(err error) string {
	var path *fs.PathError
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "there is no such file"
	case errors.Is(err, syscall.ENOTDIR):
		return "a part of the path is a file, not a directory"
	case errors.Is(err, syscall.EISDIR):
		return "is a directory, not a file"
	case errors.Is(err, fs.ErrPermission):
		return "permission denied: the user of this process may not read it"
	case errors.As(err, &path):
		return "cannot be read: " + path.Err.Error()
	}
	return err.Error()
}
