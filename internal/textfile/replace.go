package textfile

import (
	"errors"
	"os"
	"path/filepath"
)

// Replace writes a file with a mode, durably: after a crash the path has either the old content or the new one as a whole. A symbolic
// link at the path is replaced itself. The directory must allow to create files.
func Replace(path string, text []byte, mode os.FileMode) error {
	dir := filepath.Dir(path)
	made, err := os.CreateTemp(dir, "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	_, err = made.Write(text)
	if err == nil {
		err = errors.Join(made.Chmod(mode), made.Sync())
	}
	if err = errors.Join(err, made.Close()); err == nil {
		err = os.Rename(made.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(made.Name()))
	}
	return SyncDir(dir)
}

// Update is Replace for a file of the user: it keeps the mode of the file, and replaces the file that a symbolic link points to. mode is
// that of a new file.
func Update(path string, text []byte, mode os.FileMode) error {
	if resolved, err := filepath.EvalSymlinks(path); err == nil {
		path = resolved
	}
	if info, err := os.Stat(path); err == nil {
		mode = info.Mode().Perm()
	}
	return Replace(path, text, mode)
}

// SyncDir makes the entries of a directory durable.
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
