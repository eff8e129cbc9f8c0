// Package parquetfile reads users from Parquet files.
//
// [Open] reads the footer of a file. A [File] is an audiencesync.Table: it streams the rows with bounded memory, reads only the columns that are
// used, and returns their values as exact texts. Its end is io.EOF only if every column had as many values as the footer says.
package parquetfile

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/files/audiencesync"
)

// Magic is how Parquet files begin and end.
const Magic = "PAR1"

// maxFooter is the size of the largest footer in bytes.
const maxFooter = 64 << 20

// Error means that a file cannot be read, or not to its end. Its text does not contain values of rows.
type Error struct{ Reason string }

func (e *Error) Error() string { return e.Reason }

// damaged returns the error of a file whose content contradicts itself.
func damaged(part string) error {
	return &Error{"the Parquet file is damaged in its " + part + ": make or copy it again"}
}

// errUndecodable means that the library cannot decode a page. It refuses what some writers make of large unsigned integers in version 2.
var errUndecodable = &Error{"the Parquet file is damaged in its rows, or encodes them in a way that cannot be read: copy it again, or make it with the encodings of version 1"}

var errEncrypted = &Error{"the Parquet file is encrypted: export it without encryption"}

// File is an open Parquet file. It is not safe for concurrent use.
type File struct {
	file    *parquet.File
	columns []column
	used    []int
	typed   []int // columns that Properties returns
	read    []int // columns that are read: those that are used, and those of typed
	values  map[int]event.Value
	problem string // why a value of the current row has no JSON form
	record  []string
	groups  []parquet.RowGroup // those that were not begun
	readers []chunkReader      // of the current row group, by read column
	row     int                // the last row that was read, from 1
	left    int64              // rows of the current row group that were not read
	ended   error
}

// Open reads the footer of a Parquet file of size bytes. The error is an *Error, or one of reading input.
func Open(input io.ReaderAt, size int64) (f *File, err error) {
	defer recoverDamage(&err, "footer")
	if err := checkFooter(input, size); err != nil {
		return nil, err
	}
	file, err := parquet.OpenFile(input, size, parquet.SkipPageIndex(true), parquet.SkipBloomFilters(true))
	if err != nil {
		return nil, damaged("footer")
	}
	if file.Metadata().EncryptionAlgorithm.Value != nil { // although the footer can be read
		return nil, errEncrypted
	}
	f = &File{file: file, groups: file.RowGroups()}
	var rows int64
	for _, g := range f.groups {
		rows += g.NumRows()
	}
	if rows != file.NumRows() {
		return nil, damaged("footer")
	}
	for _, c := range file.Root().Columns() {
		f.columns = append(f.columns, columnOf(c))
	}
	f.record = make([]string, len(f.columns))
	return f, nil
}

// checkFooter checks the end of a file, so that no more than maxFooter bytes are read for its footer.
func checkFooter(input io.ReaderAt, size int64) error {
	const trailer = 8 // the size of the footer, and Magic
	var end [trailer]byte
	if size < trailer+int64(len(Magic)) {
		return &Error{"the Parquet file is cut off: make or copy it again"}
	}
	if _, err := input.ReadAt(end[:], size-trailer); err != nil {
		return fmt.Errorf("the end of the Parquet file cannot be read: %v", err)
	}
	footer := int64(binary.LittleEndian.Uint32(end[:]))
	switch {
	case string(end[4:]) == "PARE":
		return errEncrypted
	case string(end[4:]) != Magic:
		return &Error{"the Parquet file is cut off: make or copy it again"}
	case footer > size-trailer-int64(len(Magic)):
		return damaged("footer")
	case footer > maxFooter:
		return &Error{fmt.Sprintf("the footer of the Parquet file is larger than %d MB: write fewer row groups or columns", maxFooter>>20)}
	}
	return nil
}

// recoverDamage turns a panic of the library, which trusts a file, into an error.
func recoverDamage(err *error, part string) {
	if recover() != nil {
		*err = damaged(part)
	}
}

// Columns returns the columns of the file.
func (f *File) Columns() []audiencesync.Column {
	columns := make([]audiencesync.Column, len(f.columns))
	for i, c := range f.columns {
		columns[i] = c.Column
	}
	return columns
}

// Use says which columns Next returns.
func (f *File) Use(columns []int) { f.used, f.read = columns, slices.Clone(columns) }

// UseProperties says which columns Properties returns.
func (f *File) UseProperties(columns []int) {
	f.typed, f.values = columns, map[int]event.Value{}
	for _, at := range columns {
		if !slices.Contains(f.read, at) {
			f.read = append(f.read, at)
		}
	}
}

// Properties returns the values of these columns in the row that Next has returned, or why one of them has no JSON form.
func (f *File) Properties() (values []event.Value, problem string) {
	for _, at := range f.typed {
		values = append(values, f.values[at])
	}
	return values, f.problem
}

// Next returns the next row. Its columns that are not used are empty. The slice is valid until the next call.
func (f *File) Next() (record []string, err error) {
	if f.ended != nil {
		return nil, f.ended
	}
	defer func() {
		if bad := (*audiencesync.RowError)(nil); err != nil && !errors.As(err, &bad) {
			f.ended = err
		}
	}()
	defer recoverDamage(&err, "rows")
	for f.left == 0 {
		if err := f.nextGroup(); err != nil {
			return nil, err
		}
	}
	f.left--
	f.row++
	problem, err := f.readValues()
	if err != nil {
		return nil, err
	}
	if problem != "" {
		return nil, &audiencesync.RowError{Line: f.row, Reason: problem}
	}
	return f.record, nil
}

// readValues reads the columns of a row. The problem, if not "", says why a used one has no text.
func (f *File) readValues() (problem string, err error) {
	f.problem = ""
	for i, at := range f.read {
		value, err := f.readers[i].next()
		if err != nil {
			return "", err
		}
		if i < len(f.used) {
			text, wrong := f.columns[at].textOf(value)
			if f.record[at] = text; wrong != "" {
				problem = f.columns[at].Name + " " + wrong
			}
		}
		if slices.Contains(f.typed, at) {
			v, wrong := f.columns[at].jsonOf(value)
			if f.values[at] = v; wrong != "" {
				f.problem = f.columns[at].Name + " " + wrong
			}
		}
	}
	return problem, nil
}

// nextGroup continues with the next row group. It returns io.EOF after the last one.
func (f *File) nextGroup() error {
	for i := range f.readers {
		if err := f.readers[i].checkEnd(); err != nil {
			return err
		}
	}
	f.Close()
	if len(f.groups) == 0 {
		return io.EOF
	}
	group := f.groups[0]
	f.groups, f.left = f.groups[1:], group.NumRows()
	if f.left < 0 {
		return damaged("footer")
	}
	chunks, described := group.ColumnChunks(), f.file.Metadata().RowGroups[len(f.file.RowGroups())-len(f.groups)-1].Columns
	for _, at := range f.read {
		if codec := described[f.columns[at].leaf].MetaData.Codec; !slices.Contains(codecs, codec) {
			return &Error{fmt.Sprintf("the Parquet file is compressed with %s, which cannot be read: export it with Snappy, gzip or Zstandard", codec)}
		}
		f.readers = append(f.readers, chunkReader{pages: chunks[f.columns[at].leaf].Pages()})
	}
	return nil
}

// codecs are the ways of compression that can be read.
var codecs = []format.CompressionCodec{format.Uncompressed, format.Snappy, format.Gzip, format.Brotli, format.Zstd, format.Lz4Raw}

// Close releases the buffers. It does not close the input.
func (f *File) Close() {
	for i := range f.readers {
		f.readers[i].close()
	}
	f.readers = nil
}

// chunkReader reads the values of a column in a row group.
type chunkReader struct {
	pages  parquet.Pages
	page   parquet.Page // nil before the first one
	values parquet.ValueReader
	buffer [256]parquet.Value
	at, n  int // the next value in buffer, and how many it has
}

// next returns the next value, which is valid until the next call.
func (c *chunkReader) next() (parquet.Value, error) {
	if c.at == c.n {
		switch err := c.fill(); {
		case errors.Is(err, io.EOF):
			return parquet.Value{}, damaged("rows")
		case err != nil:
			return parquet.Value{}, err
		}
	}
	c.at++
	return c.buffer[c.at-1], nil
}

// fill reads further values. It returns io.EOF after the last one.
func (c *chunkReader) fill() error {
	for c.at, c.n = 0, 0; c.n == 0; {
		if c.page == nil {
			page, err := c.pages.ReadPage()
			if err == io.EOF {
				return err
			} else if err != nil {
				return errUndecodable
			}
			c.page, c.values = page, page.Values()
		}
		var err error
		c.n, err = c.values.ReadValues(c.buffer[:])
		switch {
		case err != nil && err != io.EOF:
			return errUndecodable
		case c.n == 0:
			parquet.Release(c.page)
			c.page = nil
		}
	}
	return nil
}

// checkEnd returns an error if the column has more values.
func (c *chunkReader) checkEnd() error {
	if c.at < c.n {
		return damaged("rows")
	}
	if err := c.fill(); err != io.EOF {
		return damaged("rows")
	}
	return nil
}

func (c *chunkReader) close() {
	if c.page != nil {
		parquet.Release(c.page)
	}
	_ = c.pages.Close()
}
