package logfiles

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/landfall-dev/landfall/internal/textfile"
)

// Rewrite returns what replaces the data of a record, with the same length, or nil if the data may stay. The record may be
// one that the server has deleted or replaced, as its data is in the file until the server writes the file again. The data must not be
// modified. It must begin with an opening brace if it is that of a message.
type Rewrite func(stream, subject string, data []byte) []byte

// ErrDamaged means that a block has a damaged record, so that it cannot be searched to its end. Salvage repairs it.
var ErrDamaged = errors.New("a file of the log is damaged")

// searchAttempts is how often Search reads a file that a server may be writing.
const searchAttempts = 3

// Search calls rewrite for the records of a queue's directory and changes nothing. It returns the stamps of the files in which nothing is to
// be rewritten, and whether there are others. A server may be using the directory.
func Search(ctx context.Context, dir string, rewrite Rewrite) (clean Stamps, found bool, err error) {
	clean = Stamps{}
	err = eachBlock(ctx, dir, func(s stream, b block) error {
		for range searchAttempts {
			made, err := rewriteRecords(s, b, rewrite)
			if errors.Is(err, fs.ErrNotExist) { // it was trimmed
				return nil
			}
			if err == nil && made == nil {
				clean[s.name+"/"+filepath.Base(b.path)] = b.stamp
				return nil
			}
			if err == nil {
				break
			}
		}
		found = true
		return nil
	})
	return clean, found, err
}

// Erase rewrites the data of records in the files of a queue's directory, except for those in clean that are unchanged. Sequences, times and
// subjects stay, and so does everything that refers to them. Each file is replaced at once, so that Erase can be interrupted at any time and
// repeated. No server may be using the directory.
func Erase(ctx context.Context, dir string, clean Stamps, rewrite Rewrite) error {
	return eachBlock(ctx, dir, func(s stream, b block) error {
		if clean.isUnchanged(s.name, b) {
			return nil
		}
		made, err := rewriteRecords(s, b, rewrite)
		if err == nil && made != nil {
			err = textfile.Replace(b.path, made.content, 0o600)
		}
		if err == nil && made != nil {
			err = updateIndexSum(s, made.last, sumAtEnd(made.content))
		}
		if err != nil {
			return fmt.Errorf("%s/%s: %w", s.name, filepath.Base(b.path), err)
		}
		return nil
	})
}

// RemoveLeftovers deletes the files that an interrupted Salvage or Erase has left, which may hold data that was erased since. A server may be
// using the directory.
func RemoveLeftovers(dir string) error {
	files, err := textfile.Glob(filepath.Join(dir, streamsDir), "*/msgs/.*")
	for _, path := range files {
		if name := filepath.Base(path); strings.Contains(name, blockSuffix+".") || strings.HasPrefix(name, "."+indexFile+".") {
			err = errors.Join(err, os.Remove(path))
		}
	}
	return err
}

// IsSearchable reports whether the texts of a block's messages, which are not compressed, can be found in its content. What damaged records hold
// must look like text: it could be compressed data whose mark is damaged.
func IsSearchable(stream, file string, content []byte) bool {
	number, err := strconv.Atoi(strings.TrimSuffix(file, blockSuffix))
	if err != nil || isCompressed(content) {
		return false
	}
	d, err := newDecoder(stream, number)
	if err != nil {
		return false
	}
	return !slices.ContainsFunc(d.scanBlock(content, 0, false).damagedSpans, func(s damagedSpan) bool { return !looksLikeText(content[s.from:s.to]) })
}

// looksLikeText reports whether the data of a damaged record, which begins with a brace, is text. Zeros can be what the damage has left.
func looksLikeText(raw []byte) bool {
	data := raw[min(max(bytes.IndexByte(raw, '{'), 0), len(raw)):]
	for data = data[:max(0, len(data)-sumSize)]; len(data) > 0; {
		r, size := utf8.DecodeRune(data)
		if r == utf8.RuneError && size == 1 || r < ' ' && !strings.ContainsRune("\x00\t\n\r", r) {
			return false
		}
		data = data[size:]
	}
	return true
}

// eachBlock calls visit for the blocks of a queue's directory.
func eachBlock(ctx context.Context, dir string, visit func(stream, block) error) error {
	streams, err := openStreams(dir)
	if err != nil {
		return err
	}
	for _, s := range streams {
		for _, b := range s.blocks {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := visit(s, b); err != nil {
				return err
			}
		}
	}
	return nil
}

// rewritten is the content of a block after records of it were rewritten.
type rewritten struct {
	content []byte
	last    string // the checksum of its last record before
}

// rewriteRecords returns the content of a block with rewritten records, or nil if there are none to rewrite.
func rewriteRecords(s stream, b block, rewrite Rewrite) (*rewritten, error) {
	buf, err := os.ReadFile(b.path)
	if err != nil {
		return nil, err
	}
	if isCompressed(buf) {
		return nil, fmt.Errorf("it is compressed: %w", errors.ErrUnsupported)
	}
	d, err := newDecoder(s.name, b.number)
	if err != nil {
		return nil, err
	}
	last, n := sumAtEnd(buf), 0
	for at := 0; at < len(buf); {
		size := lengthAt(buf[at:])
		r := d.decodeRecord(buf[at:], size)
		if r == nil {
			return nil, ErrDamaged
		}
		if !r.tombstone && d.rewriteData(s.name, r, buf[at:at+size], rewrite) {
			n++
		}
		at += size
	}
	if n == 0 {
		return nil, nil
	}
	return &rewritten{buf, last}, nil
}

// rewriteData rewrites the data of a record in place, and reports whether it did.
func (d *decoder) rewriteData(stream string, r *record, raw []byte, rewrite Rewrite) bool {
	start := headSize + len(r.subject)
	headers := binary.LittleEndian.Uint32(r.raw)&headersBit != 0
	if headers {
		start += 4 + int(binary.LittleEndian.Uint32(raw[start:]))
	}
	end := len(raw) - sumSize
	if start > end {
		return false
	}
	made := rewrite(stream, r.subject, raw[start:end])
	if len(made) != end-start {
		return false
	}
	copy(raw[start:end], made)
	d.appendSum(raw[:end], raw, raw[headSize:end], len(r.subject), headers)
	return true
}

func sumAtEnd(buf []byte) string { return string(buf[max(0, len(buf)-sumSize):]) }

// updateIndexSum replaces the checksum of the newest block's last record in the server's index of a stream. With another checksum there, the
// server reads all blocks when it starts.
func updateIndexSum(s stream, old, made string) error {
	path := filepath.Join(s.dir, indexFile)
	buf, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(buf) < 2*sumSize {
		return nil
	}
	if err != nil || old == made {
		return err
	}
	content := buf[:len(buf)-sumSize]
	if sumAtEnd(content) != old {
		return nil // it is that of another block
	}
	copy(content[len(content)-sumSize:], made)
	sum, err := newSum(s.name)
	if err != nil {
		return err
	}
	_, _ = sum.Write(content)
	return textfile.Replace(path, sum.Sum(content[:len(content):len(content)]), 0o600)
}
