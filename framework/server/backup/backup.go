// Package backup takes backups of a data directory in use, and restores them.
//
// A backup is a directory: a snapshot of each stream of the queue, the ledger, and manifest.json with their checksums, which is
// written last. The order in which the parts are taken is what makes it consistent: checkpoints, parked events, dead letters,
// events, ledger. What a checkpoint calls finished was parked, dead or delivered before it; so the later parts hold it. What the
// ledger knows beyond the checkpoints is delivered again after a restore, which the ledger makes harmless.
package backup

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/landfall-dev/landfall/framework/delivery"
	"github.com/landfall-dev/landfall/framework/state"
)

// ManifestFile is the file that says what is in a backup.
const ManifestFile = "manifest.json"

// version is the version of the format.
const version = 1

const snapshotSuffix = ".snapshot"

// Manifest says what is in a backup.
type Manifest struct {
	Version int                       `json:"version"`
	Taken   time.Time                 `json:"taken"`
	Sandbox string                    `json:"sandbox,omitempty"` // the sandbox whose data it is; "" for real remotes
	Ledger  string                    `json:"ledger"`            // sqlite, or postgres, which is not part of the backup
	Streams []delivery.StreamSnapshot `json:"streams"`
	Files   []File                    `json:"files"`
}

// HasLedger reports whether the ledger is part of the backup.
func (m *Manifest) HasLedger() bool { return m.Ledger == ledgerSQLite }

// File is a file of a backup.
type File struct {
	Name   string `json:"name"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}

// Kinds of ledgers.
const (
	ledgerSQLite   = "sqlite"
	ledgerPostgres = "postgres"
)

// Source is what a backup is taken of.
type Source struct {
	Queue   *delivery.Queue
	Ledger  *state.Store
	Sandbox string // the name of the sandbox that events are delivered to; "" for real remotes
	Dir     string // where temporary files are made
}

// Write takes a backup of a queue and a ledger that may be in use, and writes it as a tar archive. The parts of a file are
// entries of the same name; the manifest is the last entry.
func Write(ctx context.Context, w io.Writer, from Source) error {
	a := &archive{tar: tar.NewWriter(w), sums: map[string]hash.Hash{}, sizes: map[string]int64{}}
	m := Manifest{Version: version, Taken: time.Now().UTC().Truncate(time.Second), Sandbox: from.Sandbox, Ledger: ledgerSQLite}
	var err error
	if m.Streams, err = from.Queue.Snapshots(ctx, func(name string) (io.Writer, error) { return a.file(name + snapshotSuffix), nil }); err != nil {
		return err
	}
	switch err := writeLedger(ctx, a, from.Ledger, from.Dir); {
	case errors.Is(err, state.ErrNotLocal):
		m.Ledger = ledgerPostgres
	case err != nil:
		return err
	}
	m.Files = a.files()
	text, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	if _, err := a.file(ManifestFile).Write(text); err != nil {
		return err
	}
	return a.tar.Close()
}

// writeLedger puts a copy of the ledger into an archive.
func writeLedger(ctx context.Context, a *archive, s *state.Store, dir string) error {
	if !s.IsLocal() {
		return state.ErrNotLocal
	}
	made, err := os.MkdirTemp(dir, "backup.*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(made)
	file := filepath.Join(made, state.FileName)
	if err := s.Backup(ctx, file); err != nil {
		return err
	}
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	_, err = io.Copy(a.file(state.FileName), f)
	return errors.Join(err, f.Close())
}

// archive writes files in parts, as they come.
type archive struct {
	tar   *tar.Writer
	order []string
	sums  map[string]hash.Hash
	sizes map[string]int64
}

func (a *archive) files() []File {
	list := []File{}
	for _, name := range a.order {
		list = append(list, File{name, a.sizes[name], hex.EncodeToString(a.sums[name].Sum(nil))})
	}
	return list
}

// file is where a file is written to. It is part of the archive also if nothing is.
func (a *archive) file(name string) io.Writer {
	if a.sums[name] == nil {
		a.order, a.sums[name] = append(a.order, name), sha256.New()
	}
	return part{a, name}
}

// part writes parts of a file.
type part struct {
	archive *archive
	name    string
}

func (p part) Write(data []byte) (int, error) {
	if err := p.archive.tar.WriteHeader(&tar.Header{Name: p.name, Size: int64(len(data)), Mode: 0o600}); err != nil {
		return 0, err
	}
	_, _ = p.archive.sums[p.name].Write(data)
	p.archive.sizes[p.name] += int64(len(data))
	return p.archive.tar.Write(data)
}

// Save writes the archive of a backup to a directory that must not exist or be empty. A backup that did not come to its end is
// an error, and leaves nothing.
func Save(r io.Reader, dir string) (*Manifest, error) {
	if err := claimDir(dir); err != nil {
		return nil, err
	}
	m, err := save(r, dir)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return m, nil
}

// claimDir makes a private directory, which may be there if it is empty.
func claimDir(dir string) error {
	if entries, err := os.ReadDir(dir); err == nil && len(entries) > 0 {
		return fmt.Errorf("%s is not empty: give a new directory", dir)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return os.Chmod(dir, 0o700)
}

func save(r io.Reader, dir string) (*Manifest, error) {
	parts := tar.NewReader(r)
	for {
		h, err := parts.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("reading the backup: %w", err)
		}
		if h.Name != filepath.Base(h.Name) || h.Name == "." || h.Name == ".." {
			return nil, fmt.Errorf("the backup holds a file of the name %q", h.Name)
		}
		if err := appendFile(filepath.Join(dir, h.Name), parts); err != nil {
			return nil, err
		}
	}
	if _, err := os.Stat(filepath.Join(dir, ManifestFile)); err != nil {
		return nil, errors.New("the backup did not come to its end: see the server's log, and take it again")
	}
	return Verify(dir)
}

func appendFile(path string, r io.Reader) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, r)
	return errors.Join(err, f.Sync(), f.Close())
}

// Verify reads a backup and compares its files with its manifest.
func Verify(dir string) (*Manifest, error) {
	text, err := os.ReadFile(filepath.Join(dir, ManifestFile))
	if err != nil {
		return nil, fmt.Errorf("%s is no backup: %w", dir, err)
	}
	var m Manifest
	if err := json.Unmarshal(text, &m); err != nil {
		return nil, fmt.Errorf("reading %s: %w", ManifestFile, err)
	}
	if m.Version != version {
		return nil, fmt.Errorf("the backup has format %d and this program reads format %d", m.Version, version)
	}
	for _, f := range m.Files {
		if f.Name != filepath.Base(f.Name) {
			return nil, fmt.Errorf("the manifest names the file %q", f.Name)
		}
		if err := verifyFile(filepath.Join(dir, f.Name), f); err != nil {
			return nil, err
		}
	}
	return &m, nil
}

func verifyFile(path string, want File) error {
	f, err := os.Open(path)
	if err != nil {
		if want.Size == 0 && errors.Is(err, os.ErrNotExist) {
			return nil
		}
		return err
	}
	sum := sha256.New()
	n, err := io.Copy(sum, f)
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	if n != want.Size || hex.EncodeToString(sum.Sum(nil)) != want.SHA256 {
		return fmt.Errorf("%s is damaged: it is not as the manifest says", path)
	}
	return nil
}
