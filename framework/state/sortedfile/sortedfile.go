// Package sortedfile reads and writes sorted files: immutable files of rows sorted by key, as in the lower levels of a log-structured merge tree. A
// Writer writes a file in one pass. A Reader looks up sorted batches of keys, and iterates over the rows in order. Merge combines several
// files into one sequence.
//
// A file consists of blocks of about 2 KB with the rows, an index of the blocks, a Bloom filter, and a footer. A Reader keeps the index and the filter in
// memory, about 13 bits a row, and reads blocks when it needs them. Each part has a checksum. Damage is reported as ErrDamaged;
// wrong rows are never returned.
//
// A Reader is safe for concurrent use. Writers and iterators are not.
package sortedfile

import (
	"errors"
	"fmt"
	"hash/crc32"
)

// Limits of a file.
const (
	MaxKey   = 1 << 20 // bytes of a key
	MaxValue = 1 << 20 // bytes of a value
	MaxMeta  = 1 << 10 // bytes of meta
)

// ErrDamaged matches the errors of files that are damaged or have an unknown format.
var ErrDamaged = errors.New("the file is damaged")

// Info describes a file.
type Info struct {
	Rows  int64
	Bytes int64 // of the whole file
}

// formatError is an error about the contents of a file. It matches ErrDamaged.
type formatError struct{ file, text string }

func (e *formatError) Error() string { return e.file + " " + e.text }

// Is implements the interface that errors.Is uses.
func (e *formatError) Is(target error) bool { return target == ErrDamaged }

// damaged returns an error that matches ErrDamaged, for a file with a base name.
func damaged(file, format string, args ...any) error {
	return &formatError{file, "is damaged: " + fmt.Sprintf(format, args...)}
}

// checksum returns the CRC-32C of b.
func checksum(b []byte) uint32 { return crc32.Checksum(b, castagnoli) }

var castagnoli = crc32.MakeTable(crc32.Castagnoli)
