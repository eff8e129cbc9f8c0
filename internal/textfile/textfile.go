// Package textfile reads text files that users provide: it decompresses gzip and zstd, decodes character encodings to UTF-8, and splits the
// text into lines of bounded length. It refuses known binary formats, such as spreadsheets, and names them in the error. It also
// replaces files so that a crash leaves the old content or the new one, and creates temporary files that leave nothing behind.
//
// It knows nothing about what the text means. Readers and Lines are not safe for concurrent use.
package textfile

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"strings"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/text/encoding/unicode"

	"github.com/landfall-dev/landfall/framework/event"
)

// FormatError reports that a file is not text, or is not in the stated encoding.
type FormatError struct {
	Format string // for example "a ZIP archive or a spreadsheet (XLSX, ODS)"
	Advice string // what to do next
}

func (e *FormatError) Error() string { return "the file is " + e.Format + ": " + e.Advice }

// TruncatedError reports that compressed data end too early. The data read before it are intact, except that the last line may be
// incomplete.
type TruncatedError struct{ Format string }

func (e *TruncatedError) Error() string {
	return "the " + e.Format + " data end too early: the file has been cut off"
}

// CorruptError reports that compressed data are damaged. Nothing that was read from them can be trusted.
type CorruptError struct {
	Format string
	Cause  error
}

func (e *CorruptError) Error() string {
	return "the " + e.Format + " data are damaged: make or copy the file again"
}

// Unwrap returns the cause of the damage.
func (e *CorruptError) Unwrap() error { return e.Cause }

// bufferSize is the size of the read buffers in bytes.
const bufferSize = 64 << 10

// Open returns a reader of the file's text as UTF-8, decompressed if it is gzip or zstd and without a byte order mark. An empty name means
// UTF-8, or UTF-16 if the file has a UTF-16 byte order mark. Bytes that are not valid UTF-8 are passed through. Open returns a
// *FormatError, or while reading a *TruncatedError, a *CorruptError or an *EndlessLineError.
func Open(r io.Reader, name string) (io.Reader, error) {
	chosen, err := encodingByName(name)
	if err != nil {
		return nil, err
	}
	return open(r, chosen, name != "", "give its encoding with --encoding utf-16le or utf-16be, or save it as UTF-8")
}

// open is Open for a known encoding; explicit says that it was named. advice is for a text in UTF-16 without a byte order mark.
func open(r io.Reader, chosen namedEncoding, explicit bool, advice string) (io.Reader, error) {
	input, err := decompress(bufio.NewReaderSize(r, bufferSize))
	if err != nil {
		return nil, err
	}
	text, err := decodeText(input, chosen, explicit, advice)
	if err != nil {
		return nil, err
	}
	return &endingLines{text: text}, nil
}

// Magic numbers of compressed files.
const (
	gzipMagic = "\x1f\x8b"
	zstdMagic = "\x28\xb5\x2f\xfd"
)

// maxZstdWindow limits the memory for decompressing zstd, as the command zstd does by default.
const maxZstdWindow = 128 << 20

// decompress returns a reader of the decompressed file. A file that is not compressed is returned as it is.
func decompress(input *bufio.Reader) (*bufio.Reader, error) {
	begin, _ := input.Peek(len(zstdMagic))
	switch {
	case bytes.HasPrefix(begin, []byte(gzipMagic)):
		unzipped, err := gzip.NewReader(input)
		if err != nil {
			return nil, compressedError("gzip", err)
		}
		return bufio.NewReaderSize(&compressedReader{"gzip", unzipped}, bufferSize), nil
	case string(begin) == zstdMagic:
		// With a concurrency of one, the decoder has no goroutines that must be stopped.
		plain, err := zstd.NewReader(input, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxZstdWindow))
		if err != nil {
			return nil, compressedError("zstd", err)
		}
		return bufio.NewReaderSize(&compressedReader{"zstd", plain}, bufferSize), nil
	}
	return input, nil
}

func decodeText(input *bufio.Reader, chosen namedEncoding, explicit bool, advice string) (io.Reader, error) {
	begin, _ := input.Peek(8)
	if err := checkFormat(begin); err != nil {
		return nil, err
	}
	wide := strings.HasPrefix(chosen.name, "utf-16")
	rest, err := event.WithoutBOM(begin)
	marked16 := bytes.HasPrefix(begin, []byte("\xff\xfe")) || bytes.HasPrefix(begin, []byte("\xfe\xff"))
	var other *event.EncodingError
	switch {
	case errors.As(err, &other) && other.Encoding == "UTF-32":
		return nil, &FormatError{"text in UTF-32", "save it as UTF-8"}
	case wide, marked16 && !explicit:
		decoder := chosen.encoding
		if !wide {
			decoder = unicode.UTF16(unicode.LittleEndian, unicode.UseBOM)
		}
		return decoder.NewDecoder().Reader(input), nil
	case err != nil && marked16:
		return nil, &FormatError{"text in UTF-16", "leave out --encoding " + chosen.name}
	case err != nil:
		return nil, &FormatError{"text in UTF-16 without a byte order mark", advice}
	case len(rest) < len(begin) && chosen.encoding != nil:
		return nil, &FormatError{"text in UTF-8", "leave out --encoding " + chosen.name}
	}
	_, _ = input.Discard(len(begin) - len(rest))
	if chosen.encoding != nil {
		return chosen.encoding.NewDecoder().Reader(input), nil
	}
	return input, nil
}

// checkFormat refuses binary formats by their first bytes.
func checkFormat(begin []byte) error {
	for _, f := range []struct{ magic, format, advice string }{
		{"PK\x03\x04", "a ZIP archive or a spreadsheet (XLSX, ODS)", "unpack it, or save the sheet as CSV (UTF-8)"},
		{"\xd0\xcf\x11\xe0", "a spreadsheet (XLS)", "save the sheet as CSV (UTF-8)"},
		{zstdMagic, "compressed twice", "decompress it once"},
		{"BZh", "compressed with bzip2", "pipe it in: bzcat FILE | landfall … -"},
		{"\xfd7zXZ", "compressed with xz", "pipe it in: xzcat FILE | landfall … -"},
		{gzipMagic, "compressed twice", "decompress it once"},
		{"PAR1", "a Parquet file", "export it as CSV or NDJSON; landfall sync and members read users from it if it is given by its path and not compressed"},
		{"%PDF", "a PDF document", "export it as CSV or NDJSON"},
		{"SQLite f", "an SQLite database", "export it as CSV or NDJSON"},
	} {
		if bytes.HasPrefix(begin, []byte(f.magic)) && (f.magic != "BZh" || len(begin) > 4 && begin[4] == '1') {
			return &FormatError{f.format, f.advice}
		}
	}
	return nil
}

// compressedReader converts errors of a decompressor to errors of this package.
type compressedReader struct {
	format string
	plain  io.Reader
}

func (c *compressedReader) Read(p []byte) (int, error) {
	n, err := c.plain.Read(p)
	return n, compressedError(c.format, err)
}

func compressedError(format string, err error) error {
	switch {
	case err == nil, errors.Is(err, io.EOF):
		return err
	case errors.Is(err, io.ErrUnexpectedEOF):
		return &TruncatedError{format}
	}
	return &CorruptError{format, err}
}

// NewReader is like Open without an encoding, for a command that has no flag for one. It reads nothing until the first Read, which returns the
// error of Open.
func NewReader(r io.Reader) io.Reader { return &lazyReader{input: r} }

type lazyReader struct {
	input io.Reader
	text  io.Reader
	err   error
}

func (l *lazyReader) Read(p []byte) (int, error) {
	if l.text == nil && l.err == nil {
		l.text, l.err = open(l.input, namedEncoding{}, false, "save it as UTF-8")
	}
	if l.err != nil {
		return 0, l.err
	}
	return l.text.Read(p)
}
