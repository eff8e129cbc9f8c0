package state

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// InspectErasures returns the erasures that are not done, the oldest first, of the state at a location: a directory or a postgres:// URL, as for
// OpenSandbox. It changes nothing: a state that does not exist, or was created by a program without erasures, has none.
func InspectErasures(ctx context.Context, location, sandbox string) (list []Erasure, err error) {
	s, err := openUnchanged(location, sandbox)
	if s == nil || err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.db.Close()) }()
	var n int
	if err := s.db.QueryRowContext(ctx, s.dialect.countColumns, "erasures", "sealed").Scan(&n); err != nil || n == 0 {
		return nil, err
	}
	return s.PendingErasures(ctx)
}

// openUnchanged opens a state without creating or migrating it. It returns nil if its file does not exist.
func openUnchanged(location, sandbox string) (*Store, error) {
	d, source, err := postgresOf(location, sandbox)
	if !strings.Contains(location, "://") {
		d = sqlite
		source, err = filepath.Abs(filepath.Join(location, File(sandbox)))
	}
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(source); d.isLocal && errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	db, err := d.connect(source)
	if err != nil {
		return nil, openError(location, err)
	}
	return &Store{db: db, dialect: d}, nil
}
