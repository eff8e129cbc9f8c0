package backup

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/landfall-dev/landfall/framework/delivery"
	"github.com/landfall-dev/landfall/framework/state"
	"github.com/landfall-dev/landfall/internal/textfile"
)

// Target says where a backup is restored to.
type Target struct {
	Data    string                      // the data directory
	Queue   func(sandbox string) string // returns the name of the queue's directory in Data
	Cluster delivery.Config             // if it has a URL, the queue is restored into this cluster, and only the ledger into Data
	State   string                      // URL of the database with the ledger, which must have been restored before; "" for a file in Data
	Replace bool                        // move existing data aside; otherwise Data must be empty
}

// Restored is the result of Restore.
type Restored struct {
	Manifest *Manifest `json:"manifest"`
	Aside    string    `json:"aside,omitempty"` // new path of the replaced directory
}

// Restore restores a backup. It replaces the data directory in one step at the end; if it fails earlier, the directory is unchanged.
func Restore(ctx context.Context, dir string, t Target) (Restored, error) {
	m, err := Verify(dir)
	if err != nil {
		return Restored{}, err
	}
	result := Restored{Manifest: m}
	used, err := isUsed(t.Data)
	if err != nil {
		return result, err
	}
	if used && !t.Replace {
		return result, fmt.Errorf("%w: %s is not empty: choose another directory with --data, or move it aside with --replace", delivery.ErrNotEmpty, t.Data)
	}
	open := func(name string) (io.ReadCloser, error) { return openPart(filepath.Join(dir, name+snapshotSuffix)) }
	if t.Cluster.URL != "" {
		if err := delivery.RestoreSnapshots(ctx, t.Cluster, m.Streams, open); err != nil {
			return result, err
		}
	}
	temp, err := os.MkdirTemp(filepath.Dir(filepath.Clean(t.Data)), filepath.Base(t.Data)+".restore.*")
	if err != nil {
		return result, err
	}
	defer os.RemoveAll(temp)
	if t.Cluster.URL == "" {
		c := t.Cluster
		c.Dir = filepath.Join(temp, t.Queue(m.Sandbox))
		if err := delivery.RestoreSnapshots(ctx, c, m.Streams, open); err != nil {
			return result, err
		}
	}
	if m.Ledger == ledgerSQLite {
		if err := copyFile(filepath.Join(dir, state.FileName), filepath.Join(temp, state.File(m.Sandbox))); err != nil {
			return result, err
		}
	}
	if err := markLedgerUncertain(ctx, cmp.Or(t.State, temp), m.Sandbox); err != nil {
		return result, err
	}
	result.Aside, err = replaceData(temp, t.Data, used)
	return result, err
}

// markLedgerUncertain marks all memberships of a ledger as uncertain, because more changes were sent after the backup.
func markLedgerUncertain(ctx context.Context, location, sandbox string) error {
	s, err := state.OpenSandbox(ctx, location, sandbox)
	if err != nil {
		return err
	}
	if err := errors.Join(s.MarkAllUncertain(ctx), s.Close()); err != nil {
		return fmt.Errorf("marking the memberships as uncertain: %w", err)
	}
	return nil
}

// isUsed reports whether a directory exists and is not empty.
func isUsed(dir string) (bool, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return len(entries) > 0, err
}

// replaceData moves a directory to the path of the data directory, which is moved aside first if it is used.
func replaceData(temp, data string, used bool) (aside string, err error) {
	data = filepath.Clean(data)
	if used {
		if err := checkUnused(data); err != nil {
			return "", err
		}
		aside = data + ".before." + time.Now().UTC().Format("20060102T150405Z")
		if err := os.Rename(data, aside); err != nil {
			return "", err
		}
	} else if err := os.Remove(data); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	if err := os.Rename(temp, data); err != nil {
		return aside, err
	}
	return aside, textfile.SyncDir(filepath.Dir(data))
}

// checkUnused returns an error if a process uses the data directory or a queue in it.
func checkUnused(data string) error {
	queues, err := textfile.Glob(data, "*")
	if err != nil {
		return err
	}
	for _, dir := range append(queues, data) {
		if delivery.InUse(dir) {
			return fmt.Errorf("%w: stop the server first: %s", delivery.ErrInUse, dir)
		}
	}
	return nil
}

// openPart opens a file of a backup. A missing file is empty.
func openPart(path string) (io.ReadCloser, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return os.Open(os.DevNull)
	}
	return f, err
}

// copyFile copies and syncs a file. Only this user can read the copy.
func copyFile(from, to string) error {
	r, err := os.Open(from)
	if err != nil {
		return err
	}
	w, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return errors.Join(err, r.Close())
	}
	_, err = io.Copy(w, r)
	return errors.Join(err, w.Sync(), w.Close(), r.Close())
}
