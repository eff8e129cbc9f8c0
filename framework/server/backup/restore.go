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
)

// Target is where a backup is restored to.
type Target struct {
	Data    string                      // the data directory
	Queue   func(sandbox string) string // names the queue's directory in it
	Cluster delivery.Config             // with a URL, the queue is restored into this cluster and the directory gets the ledger only
	State   string                      // the URL of the database with the ledger, which has been restored before; "" for a file in Data
	Replace bool                        // what is in Data is moved aside; otherwise it must be empty
}

// Restored says what Restore did.
type Restored struct {
	Manifest *Manifest `json:"manifest"`
	Aside    string    `json:"aside,omitempty"` // where the directory lies that was replaced
}

// Restore puts a backup in place. The data directory appears all at once: until then nothing has changed.
func Restore(ctx context.Context, dir string, t Target) (Restored, error) {
	m, err := Verify(dir)
	if err != nil {
		return Restored{}, err
	}
	done := Restored{Manifest: m}
	used, err := isUsed(t.Data)
	if err != nil {
		return done, err
	}
	if used && !t.Replace {
		return done, fmt.Errorf("%w: %s is not empty; give another directory with --data, or move it aside with --replace", delivery.ErrNotEmpty, t.Data)
	}
	open := func(name string) (io.ReadCloser, error) { return openPart(filepath.Join(dir, name+snapshotSuffix)) }
	if t.Cluster.URL != "" {
		if err := delivery.RestoreSnapshots(ctx, t.Cluster, m.Streams, open); err != nil {
			return done, err
		}
	}
	made, err := os.MkdirTemp(filepath.Dir(filepath.Clean(t.Data)), filepath.Base(t.Data)+".restore.*")
	if err != nil {
		return done, err
	}
	defer os.RemoveAll(made)
	if t.Cluster.URL == "" {
		c := t.Cluster
		c.Dir = filepath.Join(made, t.Queue(m.Sandbox))
		if err := delivery.RestoreSnapshots(ctx, c, m.Streams, open); err != nil {
			return done, err
		}
	}
	if m.Ledger == ledgerSQLite {
		if err := copyFile(filepath.Join(dir, state.FileName), filepath.Join(made, state.File(m.Sandbox))); err != nil {
			return done, err
		}
	}
	if err := doubtLedger(ctx, cmp.Or(t.State, made), m.Sandbox); err != nil {
		return done, err
	}
	done.Aside, err = putInPlace(made, t.Data, used)
	return done, err
}

// doubtLedger marks the entries of a ledger as uncertain, since the remote was sent more after the backup.
func doubtLedger(ctx context.Context, place, sandbox string) error {
	s, err := state.OpenSandbox(ctx, place, sandbox)
	if err != nil {
		return err
	}
	if err := errors.Join(s.MarkAllUncertain(ctx), s.Close()); err != nil {
		return fmt.Errorf("marking the users of the ledger as uncertain: %w", err)
	}
	return nil
}

// isUsed reports whether there is something in a directory.
func isUsed(dir string) (bool, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return len(entries) > 0, err
}

// putInPlace renames a directory to another's name, which is moved aside if it is used.
func putInPlace(made, data string, used bool) (aside string, err error) {
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
	if err := os.Rename(made, data); err != nil {
		return aside, err
	}
	return aside, syncDir(filepath.Dir(data))
}

// checkUnused fails if a process uses a data directory or a queue in it.
func checkUnused(data string) error {
	queues, err := filepath.Glob(filepath.Join(data, "*"))
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

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// openPart opens a file of a backup; one that is empty may be absent.
func openPart(path string) (io.ReadCloser, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return os.Open(os.DevNull)
	}
	return f, err
}

// copyFile copies a file durably, for this user only.
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
