package sortedfile

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"slices"

	"github.com/landfall-dev/landfall/internal/textfile"
)

// writeSize is how many bytes are collected before they are written.
const writeSize = 256 << 10

// Writer writes a file. Its memory is the index and the filter of the file, and less than 1 MB unless rows are larger.
type Writer struct {
	file   *os.File                // nil if pass is set
	pass   func(part []byte) error // gets each block, and the pieces of what follows
	size   int                     // of a block at which it is complete
	footer footer
	buffer []byte // bytes that are not written yet
	start  int    // of the current block in buffer
	last   []byte // the last key
	index  indexWriter
	filter []byte
	hashes []uint64 // of the keys in the current part of the filter
	part   int      // the first block of the current part
	err    error    // after which nothing can be written
}

var (
	errFinished = errors.New("the file is finished")
	errAborted  = errors.New("the file is aborted")
	errEmptyKey = errors.New("a file cannot have an empty key")
	errTooLarge = fmt.Errorf("a key of a file has at most %d bytes, and a value %d", MaxKey, MaxValue)
	errMetaSize = fmt.Errorf("meta of a file has at most %d bytes", MaxMeta)
)

// Create creates a file at path, which must not exist. The file is complete once Finish has returned; until then Open refuses it. Meta is kept
// with it, unchanged.
func Create(path string, meta []byte) (*Writer, error) {
	if len(meta) > MaxMeta {
		return nil, errMetaSize
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	w := &Writer{file: file, size: blockSize, buffer: make([]byte, 0, writeSize+2*blockSize)}
	w.footer.meta = append(w.footer.meta, meta...)
	return w, nil
}

// NewWriter is Create for a file that is kept elsewhere. The parts of the file are passed to pass in order, and are valid during the call: each
// block, with size bytes at most unless a row is larger, and then the rest in pieces of this size.
func NewWriter(size int, pass func(part []byte) error) *Writer {
	return &Writer{pass: pass, size: min(size, blockSize)}
}

// Add adds a row. Its key must be larger than the key before. After an error of the file, each further call returns it.
func (w *Writer) Add(key string, value []byte) error {
	if w.err != nil {
		return w.err
	}
	if len(key) == 0 {
		return errEmptyKey
	}
	if len(key) > MaxKey || len(value) > MaxValue {
		return errTooLarge
	}
	last := view(w.last)
	shared := sharedPrefix(last, key)
	if shared == len(key) || shared < len(last) && last[shared] > key[shared] {
		return errors.New("the keys of a file must ascend")
	}
	if len(w.buffer)-w.start+len(key)-shared+len(value) > w.size-checksumSize-3 || w.start == len(w.buffer) {
		if w.err = w.startBlock(key[:shared+1]); w.err != nil {
			return w.err
		}
		shared = 0
	}
	w.addRow(shared, key, value)
	return nil
}

// addRow adds a row to the current block.
func (w *Writer) addRow(shared int, key string, value []byte) {
	rest := key[shared:]
	if shared|len(rest)|len(value) < 0x80 {
		w.buffer = append(w.buffer, byte(shared), byte(len(rest)), byte(len(value)))
	} else {
		w.buffer = binary.AppendUvarint(w.buffer, uint64(shared))
		w.buffer = binary.AppendUvarint(w.buffer, uint64(len(rest)))
		w.buffer = binary.AppendUvarint(w.buffer, uint64(len(value)))
	}
	w.buffer = append(w.buffer, rest...)
	w.buffer = append(w.buffer, value...)
	w.last = append(w.last[:min(shared, len(w.last))], rest...)
	w.hashes = append(w.hashes, hashKey(key))
	w.footer.rows++
}

// startBlock ends the current block, if there is one, and starts the next with a key that starts with separator.
func (w *Writer) startBlock(separator string) error {
	if err := w.endBlock(); err != nil {
		return err
	}
	return w.index.startBlock(separator)
}

// endBlock completes the current block, if it has rows, and writes the buffer if it is full.
func (w *Writer) endBlock() error {
	if w.start == len(w.buffer) {
		return nil
	}
	w.buffer = binary.LittleEndian.AppendUint32(w.buffer, blockChecksum(w.buffer[w.start:], w.index.blocks))
	w.index.endBlock(len(w.buffer) - w.start)
	w.footer.data += int64(len(w.buffer) - w.start)
	w.start = len(w.buffer)
	if len(w.hashes) >= partRows {
		w.endPart()
	}
	if len(w.buffer) >= writeSize || w.pass != nil {
		return w.flush()
	}
	return nil
}

// endPart adds the filter of the keys since the last part.
func (w *Writer) endPart() {
	lines := filterLines(len(w.hashes))
	start := len(w.filter)
	w.filter = append(w.filter, make([]byte, lines*lineSize)...)
	for _, hash := range w.hashes {
		addToFilter(w.filter[start:], hash)
	}
	w.index.addPart(w.part, lines)
	w.part, w.hashes = w.index.blocks, w.hashes[:0]
}

// flush writes the buffer, which ends with a whole block.
func (w *Writer) flush() (err error) {
	if w.pass != nil {
		err = w.pass(w.buffer)
	} else {
		_, err = w.file.Write(w.buffer)
	}
	w.buffer, w.start = w.buffer[:0], 0
	return err
}

// Finish completes the file, syncs it and its directory, and closes it. After an error the file is useless: call Abort.
func (w *Writer) Finish() (Info, error) {
	if w.err == nil {
		w.err = w.finish()
	}
	if w.err != nil {
		return Info{}, w.err
	}
	w.err = errFinished
	return Info{Rows: w.footer.rows, Bytes: w.footer.size}, nil
}

// finish does the work of Finish.
func (w *Writer) finish() error {
	if err := w.endBlock(); err != nil {
		return err
	}
	if len(w.hashes) > 0 {
		w.endPart()
	}
	if err := w.writeTail(); err != nil || w.pass != nil {
		return err
	}
	if err := errors.Join(w.file.Sync(), w.file.Close()); err != nil {
		return err
	}
	return textfile.SyncDir(filepath.Dir(w.file.Name()))
}

// writeTail writes what follows the blocks.
func (w *Writer) writeTail() error {
	f := &w.footer
	f.blocks, f.parts = w.index.blocks, w.index.parts
	for _, b := range [...][]byte{w.index.blockRecords, w.index.partRecords, w.index.separators} {
		f.index += int64(len(b))
		f.indexSum = crc32.Update(f.indexSum, castagnoli, b)
	}
	f.filterSum = checksum(w.filter)
	end := f.append(nil)
	f.size = f.data + f.index + int64(len(w.filter)+len(end))
	rest := [...][]byte{w.buffer, w.index.blockRecords, w.index.partRecords, w.index.separators, w.filter, end}
	if w.pass != nil {
		return w.passPieces(rest[1:])
	}
	for _, b := range rest {
		if _, err := w.file.Write(b); err != nil {
			return err
		}
	}
	return nil
}

// passPieces passes what follows the blocks.
func (w *Writer) passPieces(parts [][]byte) error {
	for rest := slices.Concat(parts...); len(rest) > 0; {
		n := min(len(rest), w.size)
		if err := w.pass(rest[:n]); err != nil {
			return err
		}
		rest = rest[n:]
	}
	return nil
}

// Abort closes and removes the file. After a successful Finish or an Abort it does nothing.
func (w *Writer) Abort() error {
	if w.err == errFinished || w.err == errAborted {
		return nil
	}
	w.err = errAborted
	if w.pass != nil {
		return nil
	}
	_ = w.file.Close() // which Finish may have done
	return os.Remove(w.file.Name())
}
