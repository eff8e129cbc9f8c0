// Package backup takes backups of a data directory that is in use, and restores them.
//
// A backup is a directory with a snapshot of each stream of the queue, the ledger, and manifest.json with their checksums, which is
// written last. It is consistent because of the order of its parts: checkpoints, parked events, dead letters, events, ledger. Every event
// that a checkpoint calls finished was parked, dead or delivered before, so the later parts contain it. Events that the ledger has beyond
// the checkpoints are delivered again after a restore, which the ledger makes harmless.
//
// The package must not know commands or the config. Its functions are safe for concurrent use on different directories.
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
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/state"
)

// ManifestFile is the name of the file that describes a backup.
const ManifestFile = "manifest.json"

// formatVersion is the version of the backup format. Version 1 had the snapshots of NATS for all streams.
const formatVersion = 2

const snapshotSuffix = ".snapshot"

// Manifest describes the content of a backup.
type Manifest struct {
	Version int                       `json:"version"`
	Taken   time.Time                 `json:"taken"`
	Sandbox string                    `json:"sandbox,omitempty"` // sandbox that the data belongs to; "" for real destinations
	Ledger  string                    `json:"ledger"`            // sqlite; or postgres, which the backup does not contain
	Streams []delivery.StreamSnapshot `json:"streams"`
	Files   []File                    `json:"files"`
}

// HasLedger reports whether the backup contains the ledger.
func (m *Manifest) HasLedger() bool { return m.Ledger == ledgerSQLite }

// File is a file of a backup with its checksum.
type File struct {
	Name   string `json:"name"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}

// Values of Manifest.Ledger.
const (
	ledgerSQLite   = "sqlite"
	ledgerPostgres = "postgres"
)

// Source is the data that a backup is taken of.
type Source struct {
	Queue   *delivery.Queue
	Ledger  *state.Store
	Sandbox string // sandbox that events are delivered to; "" for real destinations
	Dir     string // directory for temporary files
}

// Write takes a backup of a queue and a ledger that can be in use, and writes it as a tar archive. A file can have several entries of the
// same name, which are its parts in order. The manifest is the last entry.
func Write(ctx context.Context, w io.Writer, from Source) error {
	a := &archive{tar: tar.NewWriter(w), sums: map[string]hash.Hash{}, sizes: map[string]int64{}}
	m := Manifest{Version: formatVersion, Taken: time.Now().UTC().Truncate(time.Second), Sandbox: from.Sandbox, Ledger: ledgerSQLite}
	var err error
	if m.Streams, err = from.Queue.Snapshots(ctx, func(name string) (io.Writer, error) { return a.addFile(name + snapshotSuffix), nil }); err != nil {
		return err
	}
	switch err := writeLedger(ctx, a, from.Ledger, from.Dir); {
	case errors.Is(err, state.ErrNotLocal):
		m.Ledger = ledgerPostgres
	case err != nil:
		return err
	}
	m.Files = a.fileList()
	text, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	if _, err := a.addFile(ManifestFile).Write(text); err != nil {
		return err
	}
	return a.tar.Close()
}

// writeLedger adds a copy of the ledger to an archive.
func writeLedger(ctx context.Context, a *archive, s *state.Store, dir string) error {
	if !s.IsLocal() {
		return state.ErrNotLocal
	}
	temp, err := os.MkdirTemp(dir, "backup.*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(temp)
	file := filepath.Join(temp, state.FileName)
	if err := s.Backup(ctx, file); err != nil {
		return err
	}
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	_, err = io.Copy(a.addFile(state.FileName), f)
	return errors.Join(err, f.Close())
}

// archive is a tar archive whose files are written in parts.
type archive struct {
	tar   *tar.Writer
	order []string
	sums  map[string]hash.Hash
	sizes map[string]int64
}

// fileList returns the files written so far, with their checksums.
func (a *archive) fileList() []File {
	list := []File{}
	for _, name := range a.order {
		list = append(list, File{name, a.sizes[name], hex.EncodeToString(a.sums[name].Sum(nil))})
	}
	return list
}

// addFile returns a writer for a file. The file is listed in the manifest even if nothing is written to it.
func (a *archive) addFile(name string) io.Writer {
	if a.sums[name] == nil {
		a.order, a.sums[name] = append(a.order, name), sha256.New()
	}
	return partWriter{a, name}
}

// partWriter writes parts of a file.
type partWriter struct {
	archive *archive
	name    string
}

func (p partWriter) Write(data []byte) (int, error) {
	if err := p.archive.tar.WriteHeader(&tar.Header{Name: p.name, Size: int64(len(data)), Mode: 0o600}); err != nil {
		return 0, err
	}
	_, _ = p.archive.sums[p.name].Write(data)
	p.archive.sizes[p.name] += int64(len(data))
	return p.archive.tar.Write(data)
}

// Save extracts the archive of a backup to a directory, which must be empty or not exist, and verifies it. If the backup is incomplete, it
// returns an error and removes the directory.
func Save(r io.Reader, dir string) (*Manifest, error) {
	if err := claimDir(dir); err != nil {
		return nil, err
	}
	m, err := extractArchive(r, dir)
	if errors.Is(err, io.ErrUnexpectedEOF) { // the server failed in between
		err = errIncomplete
	}
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return m, nil
}

// claimDir creates a private directory, or uses an existing one that is empty.
func claimDir(dir string) error {
	if entries, err := os.ReadDir(dir); err == nil && len(entries) > 0 {
		return fmt.Errorf("%s is not empty: choose a new directory", dir)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return os.Chmod(dir, 0o700)
}

var errIncomplete = errors.New("the backup is incomplete: see the server's log, and take the backup again")

// extractArchive extracts an archive and verifies the backup.
func extractArchive(r io.Reader, dir string) (*Manifest, error) {
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
			return nil, fmt.Errorf("the backup contains a file with the invalid name %q", h.Name)
		}
		if err := appendFile(filepath.Join(dir, h.Name), parts); err != nil {
			return nil, err
		}
	}
	if _, err := os.Stat(filepath.Join(dir, ManifestFile)); err != nil {
		return nil, errIncomplete
	}
	return Verify(dir)
}

// appendFile appends r to a file and syncs it.
func appendFile(path string, r io.Reader) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, r)
	return errors.Join(err, f.Sync(), f.Close())
}

// Verify checks the files of a backup against its manifest, and returns the manifest.
func Verify(dir string) (*Manifest, error) {
	text, err := os.ReadFile(filepath.Join(dir, ManifestFile))
	if err != nil {
		return nil, fmt.Errorf("%s is not a backup: %w", dir, fault.File(err))
	}
	var m Manifest
	if err := json.Unmarshal(text, &m); err != nil {
		return nil, fmt.Errorf("%s is damaged: take the backup again", filepath.Join(dir, ManifestFile))
	}
	if m.Version < 1 || m.Version > formatVersion {
		return nil, fmt.Errorf("the backup has format %d and this program reads formats 1 to %d", m.Version, formatVersion)
	}
	for _, f := range m.Files {
		if f.Name != filepath.Base(f.Name) {
			return nil, fmt.Errorf("the manifest has the invalid file name %q", f.Name)
		}
		if err := verifyFile(filepath.Join(dir, f.Name), f); err != nil {
			return nil, err
		}
	}
	return &m, nil
}

// verifyFile compares a file with its size and checksum. An empty file can be missing.
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
		return fmt.Errorf("%s is damaged: its size or checksum differs from the manifest", path)
	}
	return nil
}
