package state

import (
	"context"
	"errors"
	"io/fs"
	"slices"

	"github.com/landfall-dev/landfall/framework/state/sortedfile"
)

// verifyMemberFiles reads all member files, and returns the damage that it finds.
func (s *Store) verifyMemberFiles(ctx context.Context) (problems []string, err error) {
	for _, table := range []string{"packed_files", "member_files"} { // a copy contains its files, and an old database has none
		var n int
		if err := s.db.QueryRowContext(ctx, s.dialect.countColumns, table, "file").Scan(&n); err != nil || (n > 0) == (table == "packed_files") {
			return nil, err
		}
	}
	names, err := memberFileNames(ctx, s.db)
	if err != nil {
		return nil, err
	}
	return s.verifyFilesNamed(ctx, names)
}

// verifyFilesNamed is verifyMemberFiles for files that were listed before. Those that were replaced meanwhile are not missing.
func (s *Store) verifyFilesNamed(ctx context.Context, names []string) (problems []string, err error) {
	var missing []string
	for _, name := range names {
		switch err := verifyMemberFile(ctx, s.dir().file(name)); {
		case errors.Is(err, fs.ErrNotExist):
			missing = append(missing, name)
		case errors.Is(err, sortedfile.ErrDamaged):
			problems = append(problems, err.Error())
		case err != nil:
			return nil, err
		}
	}
	if len(missing) == 0 {
		return problems, nil
	}
	listed, err := memberFileNames(ctx, s.db)
	for _, name := range missing {
		if slices.Contains(listed, name) {
			problems = append(problems, s.dir().missing(name))
		}
	}
	return problems, err
}

func verifyMemberFile(ctx context.Context, path string) error {
	r, err := sortedfile.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(r.Verify(ctx), r.Close())
}
