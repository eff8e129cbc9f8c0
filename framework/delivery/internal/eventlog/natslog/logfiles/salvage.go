package logfiles

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog"
	"github.com/landfall-dev/landfall/internal/textfile"
)

// DamagedDir is the directory with copies of damaged files, in the queue's directory.
const DamagedDir = "damaged"

// Salvage repairs the files of a queue's directory so that the server loses no intact record. It first copies each damaged file
// to a directory under DamagedDir. These copies take up to maxBytes; the oldest are deleted. No server may be using the
// directory.
func Salvage(ctx context.Context, dir string, known Stamps, maxBytes int64) ([]eventlog.FileDamage, error) {
	streams, err := openStreams(dir)
	if err != nil {
		return nil, err
	}
	k := newCopyKeeper(dir, maxBytes)
	var findings []eventlog.FileDamage
	for _, s := range streams {
		found, err := salvageStream(ctx, s, known, k)
		findings = append(findings, found...)
		if err != nil {
			return findings, fmt.Errorf("salvaging %s: %w", s.name, err)
		}
	}
	return findings, nil
}

// salvageStream rewrites the damaged blocks of a stream.
func salvageStream(ctx context.Context, s stream, known Stamps, k *copyKeeper) ([]eventlog.FileDamage, error) {
	var findings []eventlog.FileDamage
	var highest, lost uint64
	var at int64
	gaps := false
	err := scanStream(ctx, s, known, func(b scannedBlock) error {
		highest = max(highest, b.content.lastSeq())
		gaps = gaps || b.hasGap()
		if n := len(b.content.records); n > 0 {
			at = b.content.records[n-1].time
		}
		f, found := findingOf(s, b)
		if !found {
			return nil
		}
		if b.content.isDamaged() {
			f.CopyPath, f.NoCopyReason = k.keepCopy(s.name, b.path)
			lost = max(lost, f.Last)
			if err := rewriteBlock(s, b); err != nil {
				return err
			}
		}
		findings = append(findings, f)
		return nil
	})
	rebuild := gaps && s.name == "EVENTS" || slices.ContainsFunc(findings, func(f eventlog.FileDamage) bool { return !f.Torn })
	if err != nil || !rebuild {
		return findings, err
	}
	end := max(lost, lastInIndex(s))
	if err := os.Remove(filepath.Join(s.dir, indexFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return findings, err // the server then reads the blocks
	}
	if end > highest {
		return findings, reserveSequences(s, end, cmp.Or(at, time.Now().UnixNano()))
	}
	return findings, nil
}

// rewriteBlock replaces a block with its intact records.
func rewriteBlock(s stream, b scannedBlock) error {
	dropped := map[int]bool{} // tombstones that replace a record by a lost one; the old record stays
	if s.name == "BOOKS" {
		for _, p := range b.content.damagedSpans {
			if p.tombstone > 0 {
				dropped[p.after] = true
			}
		}
	}
	var intact []byte
	for i := range b.content.records {
		if !dropped[i] {
			intact = append(intact, b.content.records[i].raw...)
		}
	}
	return textfile.Replace(b.path, intact, 0o600)
}

// reserveSequences writes a block which tells the server that the sequences up to end were used, so that none is reused.
func reserveSequences(s stream, end uint64, at int64) error {
	number := s.blocks[len(s.blocks)-1].number + 1
	d, err := newDecoder(s.name, number)
	if err != nil {
		return err
	}
	return textfile.Replace(filepath.Join(s.dir, fmt.Sprintf("%d%s", number, blockSuffix)), d.newTombstone(end, at), 0o600)
}

// CopyDamaged copies a damaged file, which a server may be using. The copies take up to maxBytes. It returns the path of the copy,
// or why there is none.
func CopyDamaged(dir string, f eventlog.FileDamage, maxBytes int64) (copyPath, reason string) {
	k := newCopyKeeper(dir, maxBytes)
	return k.keepCopy(f.Stream, filepath.Join(dir, streamsDir, f.Stream, "msgs", f.File))
}

// copyKeeper copies damaged files.
type copyKeeper struct {
	dir, copyDir string
	maxBytes     int64
}

func newCopyKeeper(dir string, maxBytes int64) *copyKeeper {
	return &copyKeeper{dir: dir, copyDir: filepath.Join(dir, DamagedDir, time.Now().UTC().Format("20060102T150405.000Z")), maxBytes: maxBytes}
}

// keepCopy copies a file. It returns the path of the copy, or why there is none.
func (k *copyKeeper) keepCopy(stream, path string) (copyPath, reason string) {
	info, err := os.Stat(path)
	if err != nil {
		return "", err.Error()
	}
	if info.Size() > k.maxBytes {
		return "", fmt.Sprintf("it is larger than the %d bytes that copies may take", k.maxBytes)
	}
	if err := k.deleteOldest(info.Size()); err != nil {
		return "", err.Error()
	}
	to := filepath.Join(k.copyDir, stream, filepath.Base(path))
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return "", err.Error()
	}
	if err := copyFile(path, to); err != nil {
		return "", errors.Join(err, os.Remove(to)).Error()
	}
	return to, ""
}

// deleteOldest deletes the oldest copies until size bytes fit.
func (k *copyKeeper) deleteOldest(size int64) error {
	root := filepath.Join(k.dir, DamagedDir)
	entries, err := os.ReadDir(root) // sorted by name, which is the time
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	sizes, total := make([]int64, len(entries)), size
	for i, e := range entries {
		sizes[i] = dirSize(filepath.Join(root, e.Name()))
		total += sizes[i]
	}
	for i, e := range entries {
		if total <= k.maxBytes {
			return nil
		}
		path := filepath.Join(root, e.Name())
		if path == k.copyDir {
			return fmt.Errorf("the copies would take more than %d bytes", k.maxBytes)
		}
		if err := os.RemoveAll(path); err != nil {
			return err
		}
		total -= sizes[i]
	}
	return nil
}

func dirSize(dir string) (total int64) {
	_ = filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			if info, err := e.Info(); err == nil {
				total += info.Size()
			}
		}
		return nil
	})
	return total
}

// copyFile copies a file durably, with permissions for this user only.
func copyFile(from, to string) error {
	text, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return textfile.Replace(to, text, 0o600)
}
