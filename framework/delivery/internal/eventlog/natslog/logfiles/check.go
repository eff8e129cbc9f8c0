// Package logfiles checks and repairs the files in which the embedded NATS server stores the queue's streams.
//
// The server truncates a file at the first damaged record and drops everything behind it without a warning. Salvage runs before
// the server starts: it finds the damage, keeps a copy of each damaged file, and leaves the server files with all intact records.
// The package knows the format of the files and nothing of the server. Check may run while a server uses the directory; the other
// functions may not, except where they say so.
package logfiles

import (
	"context"
	"encoding/binary"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog"
	"github.com/landfall-dev/landfall/internal/pause"
)

// streamsDir is the directory of the streams in the server's directory.
var streamsDir = filepath.Join("jetstream", "$G", "streams")

const (
	blockSuffix = ".blk"
	indexFile   = "index.db"
)

// block is a file with records of a stream.
type block struct {
	number int
	path   string
	stamp  fileStamp
}

// stream is a stream and its blocks.
type stream struct {
	name   string
	dir    string
	blocks []block
}

// SyncDir makes it durable that a stream's directory of blocks was replaced, as the server does when it deletes all messages. A server may be
// using the directory.
func SyncDir(dir, stream string) error {
	d, err := os.Open(filepath.Join(dir, streamsDir, stream))
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// openStreams returns the streams of a queue's directory with their blocks in order.
func openStreams(dir string) ([]stream, error) {
	entries, err := os.ReadDir(filepath.Join(dir, streamsDir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var list []stream
	for _, e := range entries {
		if !e.IsDir() {
			continue
		}
		s := stream{name: e.Name(), dir: filepath.Join(dir, streamsDir, e.Name(), "msgs")}
		if s.blocks, err = listBlocks(s.dir); err != nil {
			return nil, err
		}
		list = append(list, s)
	}
	return list, nil
}

func listBlocks(dir string) ([]block, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var list []block
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), blockSuffix)
		n, err := strconv.Atoi(name)
		if !ok || err != nil {
			continue
		}
		path := filepath.Join(dir, e.Name())
		current, err := stampOf(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue // it was trimmed
		}
		if err != nil {
			return nil, err
		}
		list = append(list, block{number: n, path: path, stamp: current})
	}
	slices.SortFunc(list, func(a, b block) int { return a.number - b.number })
	return list, nil
}

// scannedBlock is the result of scanning a block.
type scannedBlock struct {
	block
	content *blockContent
	before  uint64 // last sequence before the block; 0 if unknown
}

// hasGap reports whether sequences are missing between the previous block and this one.
func (b scannedBlock) hasGap() bool {
	for i := range b.content.records {
		if r := &b.content.records[i]; !r.tombstone {
			return b.before > 0 && r.seq > b.before+1
		}
	}
	return false
}

// scanStream scans the blocks of a stream, except those that are unchanged according to known.
func scanStream(ctx context.Context, s stream, known Stamps, visit func(scannedBlock) error) error {
	var before uint64
	for i, b := range s.blocks {
		if err := ctx.Err(); err != nil {
			return err
		}
		if known.isUnchanged(s.name, b) {
			before = 0
			continue
		}
		buf, err := os.ReadFile(b.path)
		if errors.Is(err, fs.ErrNotExist) {
			continue // it was trimmed
		}
		if err != nil {
			return err
		}
		if isCompressed(buf) {
			before = 0
			continue
		}
		d, err := newDecoder(s.name, b.number)
		if err != nil {
			return err
		}
		c := d.scanBlock(buf, before, i == len(s.blocks)-1)
		if err := visit(scannedBlock{b, c, before}); err != nil {
			return err
		}
		before = max(before, c.lastSeq())
	}
	return nil
}

func isCompressed(buf []byte) bool { return strings.HasPrefix(string(buf[:min(3, len(buf))]), "cmp") }

// Check scans the files of a queue's directory without changing them and returns the damaged ones. A server may be using them.
// Blocks in known count as intact. It sleeps for rest after each block, to leave the disk to others.
func Check(ctx context.Context, dir string, known Stamps, rest time.Duration) ([]eventlog.FileDamage, error) {
	streams, err := openStreams(dir)
	if err != nil {
		return nil, err
	}
	var findings []eventlog.FileDamage
	for _, s := range streams {
		err := scanStream(ctx, s, known, func(b scannedBlock) error {
			if f, ok := findingOf(s, b); ok {
				findings = append(findings, f)
			}
			return pause.For(ctx, rest)
		})
		if err != nil {
			return findings, err
		}
	}
	return findings, nil
}

// findingOf returns the finding about a block, false if it is intact.
func findingOf(s stream, b scannedBlock) (eventlog.FileDamage, bool) {
	f := eventlog.FileDamage{Stream: s.name, File: filepath.Base(b.path), Repaired: b.content.repaired}
	for _, p := range b.content.damagedSpans {
		if p.torn {
			continue
		}
		f.Lost++
		first, last := b.lostRange(p)
		if f.First == 0 || first > 0 && first < f.First {
			f.First = first
		}
		f.Last = max(f.Last, last)
	}
	f.Torn = len(b.content.damagedSpans) > 0 && f.Lost == 0 && f.Repaired == 0
	return f, len(b.content.damagedSpans) > 0 || f.Repaired > 0
}

// lostRange returns the range of sequences that a damaged span may have held; zeros if unknown.
func (b scannedBlock) lostRange(p damagedSpan) (first, last uint64) {
	before := b.before
	for i := range b.content.records[:p.after] {
		if r := &b.content.records[i]; !r.tombstone {
			before = max(before, r.seq)
		}
	}
	for i := range b.content.records[p.after:] {
		if r := &b.content.records[p.after+i]; !r.tombstone && r.seq > before {
			last = r.seq - 1
			break
		}
	}
	if last == 0 {
		last = p.seq
	}
	switch {
	case before > 0:
		first = before + 1
	case p.seq <= last:
		first = p.seq
	}
	if last < first {
		return 0, 0
	}
	return first, last
}

// lastInIndex returns the last sequence in the server's index of a stream, 0 if the index is unreadable.
func lastInIndex(s stream) uint64 {
	buf, err := os.ReadFile(filepath.Join(s.dir, indexFile))
	if err != nil || len(buf) < 32 {
		return 0
	}
	sum, err := newSum(s.name)
	if err != nil {
		return 0
	}
	content, stored := buf[:len(buf)-sumSize], buf[len(buf)-sumSize:]
	_, _ = sum.Write(content)
	if string(sum.Sum(nil)) != string(stored) || content[0] != 11 {
		return 0
	}
	rest := content[2:]
	var number uint64
	for i := range 5 { // messages, bytes, first sequence, first time (signed), last sequence
		n := 0
		if i == 3 {
			_, n = binary.Varint(rest)
		} else {
			number, n = binary.Uvarint(rest)
		}
		if n <= 0 {
			return 0
		}
		rest = rest[n:]
	}
	return number
}
