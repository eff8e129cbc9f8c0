package sortedfile

import (
	"encoding/binary"
	"fmt"
	"io"
)

// A file is its blocks, the index, the filter, and the footer. The footer is, in little endian order, the fields of footer, then meta, then a tail
// that all versions have: the length of the whole footer, a checksum of all of the footer before the checksum, the version, and the magic number.
const (
	version     = 1
	magic       = "LFsegmnt"
	fieldsSize  = 40
	tailSize    = 20
	minFooter   = fieldsSize + tailSize
	maxFooter   = 4 << 10 // of any version
	indexRecord = 8       // bytes of a block or of a part in the index, without its separator
)

// footer describes the other parts of a file.
type footer struct {
	rows          int64
	data          int64 // bytes of all blocks
	blocks, parts int
	index         int64 // bytes of the index
	indexSum      uint32
	filterSum     uint32
	meta          []byte

	// Not stored, because they follow from the rest.
	filter int64 // bytes of the filter
	size   int64 // bytes of the file
}

// append appends the stored form of f to b.
func (f *footer) append(b []byte) []byte {
	start := len(b)
	b = binary.LittleEndian.AppendUint64(b, uint64(f.rows))
	b = binary.LittleEndian.AppendUint64(b, uint64(f.data))
	b = binary.LittleEndian.AppendUint32(b, uint32(f.blocks))
	b = binary.LittleEndian.AppendUint32(b, uint32(f.parts))
	b = binary.LittleEndian.AppendUint64(b, uint64(f.index))
	b = binary.LittleEndian.AppendUint32(b, f.indexSum)
	b = binary.LittleEndian.AppendUint32(b, f.filterSum)
	b = append(b, f.meta...)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(b)-start+tailSize))
	b = binary.LittleEndian.AppendUint32(b, footerChecksum(b[start:], version))
	b = binary.LittleEndian.AppendUint32(b, version)
	return append(b, magic...)
}

// footerChecksum returns the checksum of a footer up to the checksum, and its version.
func footerChecksum(begin []byte, version uint32) uint32 { return checksum(begin) ^ version*0x9E3779B1 }

// readFooter reads and checks the footer of a file.
func readFooter(f File, name string) (footer, error) {
	b, size, err := readFooterBytes(f, name)
	if err != nil {
		return footer{}, err
	}
	tail := b[len(b)-tailSize:]
	stored := binary.LittleEndian.Uint32(tail[8:])
	switch {
	case binary.LittleEndian.Uint32(tail[4:]) != footerChecksum(b[:len(b)-tailSize+4], stored):
		return footer{}, damaged(name, "its footer has a wrong checksum")
	case stored > version:
		return footer{}, &formatError{name, fmt.Sprintf("was written by a newer program, in version %d of the format: use that program or a newer one", stored)}
	case stored != version || len(b) < minFooter:
		return footer{}, damaged(name, "its footer has an unknown version or length")
	}
	parsed := parseFooter(b[:len(b)-tailSize])
	parsed.size = size
	parsed.filter = size - int64(len(b)) - parsed.index - parsed.data
	return parsed, parsed.check(name)
}

// readFooterBytes returns the footer of a file, unchecked apart from its length and magic number, and the size of the file.
func readFooterBytes(f File, name string) ([]byte, int64, error) {
	size, err := f.Size()
	if err != nil {
		return nil, 0, err
	}
	b := make([]byte, min(size, maxFooter))
	if err := readAt(f, name, b, size-int64(len(b))); err != nil {
		return nil, 0, err
	}
	if len(b) < tailSize || string(b[len(b)-len(magic):]) != magic {
		return nil, 0, damaged(name, "it has no footer. It is incomplete, or not a file of the ledger")
	}
	length := binary.LittleEndian.Uint32(b[len(b)-tailSize:])
	if length < tailSize || length > uint32(len(b)) {
		return nil, 0, damaged(name, "its footer has a wrong length")
	}
	return b[len(b)-int(length):], size, nil
}

// parseFooter reads the fields and meta of a footer.
func parseFooter(b []byte) footer {
	return footer{
		rows:      int64(binary.LittleEndian.Uint64(b)),
		data:      int64(binary.LittleEndian.Uint64(b[8:])),
		blocks:    int(binary.LittleEndian.Uint32(b[16:])),
		parts:     int(binary.LittleEndian.Uint32(b[20:])),
		index:     int64(binary.LittleEndian.Uint64(b[24:])),
		indexSum:  binary.LittleEndian.Uint32(b[32:]),
		filterSum: binary.LittleEndian.Uint32(b[36:]),
		meta:      b[fieldsSize:],
	}
}

// check reports sizes that do not fit each other, before they cost memory.
func (f *footer) check(name string) error {
	records := int64(f.blocks+f.parts) * indexRecord
	ok := f.data <= f.size && f.index <= f.size && f.filter >= 0 && // so that their sum has not overflowed
		f.data >= int64(f.blocks)*minBlock && f.parts <= f.blocks &&
		f.rows >= int64(f.blocks) && f.rows <= f.data/4 &&
		f.index >= records && f.index-records <= min(f.data, maxSeparators) && // separators are not longer than the keys in the blocks
		f.filter%lineSize == 0 && f.filter/lineSize <= f.rows/lineRows+int64(f.parts) &&
		len(f.meta) <= MaxMeta
	if !ok {
		return damaged(name, "the sizes in its footer do not fit each other")
	}
	return nil
}

// readAt reads all of b at an offset. A file that ends before is damaged.
func readAt(f File, name string, b []byte, offset int64) error {
	n, err := f.ReadAt(b, offset)
	if n == len(b) {
		return nil
	}
	if err == io.EOF {
		return damaged(name, "it ends early")
	}
	return err
}
