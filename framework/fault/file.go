package fault

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// FileReason says why a file or a directory cannot be used, for messages that name it themselves. It looks at the path of the error, and at
// the directories above it.
func FileReason(err error) string {
	var path *fs.PathError
	switch hasPath := errors.As(err, &path); {
	case errors.Is(err, fs.ErrPermission):
		return "permission denied: the user of this process may not " + deniedVerb(path) + " it"
	case errors.Is(err, syscall.EISDIR):
		return "is a directory, not a file"
	case hasPath && (errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) || errors.Is(err, fs.ErrExist)):
		return pathReason(path)
	case errors.Is(err, fs.ErrNotExist):
		return "there is no such file"
	case errors.Is(err, syscall.ENOTDIR):
		return "a part of the path is a file, not a directory"
	case errors.Is(err, syscall.ENOSPC):
		return "the disk is full: free space on it"
	case errors.Is(err, syscall.EROFS):
		return "the file system is read-only"
	case errors.Is(err, syscall.ELOOP):
		return "the links lead in a circle"
	case hasPath && !isReading(path.Op):
		return "cannot be written: " + path.Err.Error()
	case hasPath:
		return "cannot be read: " + path.Err.Error()
	}
	return err.Error()
}

func isReading(op string) bool {
	return op == "open" || op == "openat" || op == "read" || op == "stat" || op == "lstat"
}

// deniedVerb returns what a process without permission could not do with a path, which is nil if the error has none.
func deniedVerb(path *fs.PathError) string {
	if path == nil {
		return "read"
	}
	if _, err := os.Lstat(path.Path); errors.Is(err, fs.ErrNotExist) {
		return "create"
	}
	if isReading(path.Op) {
		return "open"
	}
	return "change"
}

// pathReason says which part of a path is missing or of the wrong kind: the first one that is.
func pathReason(path *fs.PathError) string {
	whole := filepath.Clean(path.Path)
	for _, at := range partsOf(whole) {
		which := at + " "
		if at == whole {
			which = ""
		}
		info, err := os.Stat(at)
		target, _ := os.Readlink(at)
		switch isMissing := errors.Is(err, fs.ErrNotExist); {
		case isMissing && target != "":
			return which + "is a link to " + target + ", which does not exist"
		case isMissing && at != whole:
			return "there is no directory " + at
		case err == nil && !info.IsDir() && (at != whole || !errors.Is(path, fs.ErrNotExist)):
			return which + "is a file, not a directory"
		}
	}
	if errors.Is(path, fs.ErrExist) {
		return "exists already"
	}
	return "there is no such file"
}

// partsOf returns the directories above a path, from the top, and the path itself.
func partsOf(path string) []string {
	parts := []string{path}
	for dir := filepath.Dir(path); dir != parts[0]; dir = filepath.Dir(dir) {
		parts = slices.Insert(parts, 0, dir)
	}
	return parts
}

// FileText returns the text of an error. The words of the operating system about a file in it, such as "open FILE: no such file or
// directory", are those of FileReason instead.
func FileText(err error) string {
	text := err.Error()
	var path *fs.PathError
	if errors.As(err, &path) {
		text = strings.Replace(text, path.Error(), path.Path+": "+FileReason(path), 1)
	}
	return text
}

// File returns an error with the text of FileText, or nil if err is nil.
func File(err error) error {
	if err == nil {
		return nil
	}
	return &fileError{err}
}

type fileError struct{ err error }

func (e *fileError) Error() string { return FileText(e.err) }
func (e *fileError) Unwrap() error { return e.err }
