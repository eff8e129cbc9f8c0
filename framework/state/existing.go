package state

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/landfall-dev/landfall/internal/textfile"
)

// MissingError is the error of OpenExisting if there is no state.
type MissingError struct {
	File   string   // of a local state; "" for one in a database
	Others []string // the files of the same directory with the states of other targets
}

func (e *MissingError) Error() string {
	if e.File == "" {
		return "there is no ledger in the database of state.url: check the URL, or start landfall serve, which creates it"
	}
	switch others := strings.Join(e.Others, ", "); {
	case others == "":
		return fmt.Sprintf("there is no ledger %s: give the data directory of the server with --data, or start landfall serve, which creates it", e.File)
	case filepath.Base(e.File) == FileName:
		return fmt.Sprintf("there is no ledger %s of real remotes, only of a sandbox (%s): say which with --sandbox or --sandbox-url", e.File, others)
	default:
		return fmt.Sprintf("there is no ledger %s of this sandbox, only %s: %s is the one of real remotes, for which --sandbox and --sandbox-url are left out", e.File, others, FileName)
	}
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
		missing := &MissingError{File: filepath.Join(location, File(sandbox))}
		others, _ := textfile.Glob(location, "state*.db") // only for the message
		for _, file := range others {
			missing.Others = append(missing.Others, filepath.Base(file))
		}
		return nil, missing
	}
	return OpenSandbox(ctx, location, sandbox)
}

// IsMissing reports whether there is no state of a sandbox in a directory. Files of members without their database are a damaged state.
func IsMissing(dir, sandbox string) bool {
	file := filepath.Join(dir, File(sandbox))
	_, err := os.Stat(file)
	return errors.Is(err, fs.ErrNotExist) && (fileDir{file + memberFilesSuffix}).requireNone() == nil
}
