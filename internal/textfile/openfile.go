package textfile

import (
	"errors"
	"io/fs"
	"os"
	"regexp"
)

// openedByShell matches the paths of files that are open already, such as those of process substitution. They can be pipes on purpose.
var openedByShell = regexp.MustCompile(`^/dev/(stdin|fd/[0-9]+)$|^/proc/(self|[0-9]+)/fd/[0-9]+$`)

// OpenFile opens a file that a user named. It refuses named pipes, whose opening waits for a writer and cannot be interrupted, sockets and devices
// other than os.DevNull. The error is a *fs.PathError.
func OpenFile(path string) (*os.File, error) {
	if !openedByShell.MatchString(path) && path != os.DevNull {
		info, err := os.Stat(path) // if it fails, Open fails too, and says why the file cannot be opened
		if err == nil && specialKind(info.Mode()) != "" {
			return nil, &fs.PathError{Op: "read", Path: path, Err: errors.New("it is " + specialKind(info.Mode()) + ", not a regular file")}
		}
	}
	return os.Open(path)
}

// specialKind names what a file is if it is neither regular nor a directory; "" otherwise.
func specialKind(mode fs.FileMode) string {
	switch {
	case mode&fs.ModeNamedPipe != 0:
		return "a named pipe"
	case mode&fs.ModeSocket != 0:
		return "a socket"
	case mode&fs.ModeDevice != 0:
		return "a device"
	}
	return ""
}
