package state

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// MissingError is the error of OpenExisting if there is no state.
type MissingError struct {
	File string // of a local state; "" for one in a database
}

func (e *MissingError) Error() string {
	if e.File == "" {
		return "there is no ledger in the database of state.url: check the URL, or start landfall serve, which creates it"
	}
	return fmt.Sprintf("there is no ledger %s: give the data directory of the server with --data, or start landfall serve, which creates it", e.File)
}

// OpenExisting is OpenSandbox for a program that works on what is there: it creates nothing, and returns a *MissingError if there is no state.
func OpenExisting(ctx context.Context, location, sandbox string) (*Store, error) {
	if strings.Contains(location, "://") {
		found, err := InspectDatabase(ctx, location, sandbox)
		if err == nil && found.Version == 0 {
			err = &MissingError{}
		}
		if err != nil {
			return nil, err
		}
		return OpenSandbox(ctx, location, sandbox)
	}
	if IsMissing(location, sandbox) {
		return nil, &MissingError{File: filepath.Join(location, File(sandbox))}
	}
	return OpenSandbox(ctx, location, sandbox)
}

// IsMissing reports whether there is no state of a sandbox in a directory. Files of members without their database are a damaged state.
func IsMissing(dir, sandbox string) bool {
	file := filepath.Join(dir, File(sandbox))
	_, err := os.Stat(file)
	return errors.Is(err, fs.ErrNotExist) && (fileDir{file + memberFilesSuffix}).requireNone() == nil
}
