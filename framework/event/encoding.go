package event

import (
	"bufio"
	"bytes"
	"io"
)

// byteOrderMark is the UTF-8 byte order mark, which some editors and shells write at the beginning of a file.
const byteOrderMark = "\xef\xbb\xbf"

// EncodingError reports that a text is not encoded in UTF-8.
type EncodingError struct{ Encoding string }

func (e *EncodingError) Error() string {
	return "the text is " + e.Encoding + ": save it as UTF-8"
}

// WithoutBOM returns the text without a UTF-8 byte order mark. For a text in UTF-16 or UTF-32 it returns an *EncodingError, because
// parsing it as UTF-8 would give a misleading error.
func WithoutBOM(text []byte) ([]byte, error) {
	switch {
	case bytes.HasPrefix(text, []byte(byteOrderMark)):
		return text[len(byteOrderMark):], nil
	case bytes.HasPrefix(text, []byte("\xff\xfe\x00\x00")), bytes.HasPrefix(text, []byte("\x00\x00\xfe\xff")):
		return nil, &EncodingError{"UTF-32"}
	case bytes.HasPrefix(text, []byte("\xff\xfe")), bytes.HasPrefix(text, []byte("\xfe\xff")):
		return nil, &EncodingError{"UTF-16"}
	case len(text) >= 2 && text[0] != 0 && text[1] == 0, len(text) >= 2 && text[0] == 0 && text[1] != 0:
		return nil, &EncodingError{"UTF-16 without a byte order mark"}
	}
	return text, nil
}

// ReaderWithoutBOM returns a reader of r without a UTF-8 byte order mark. If r is in UTF-16 or UTF-32, Read returns an
// *EncodingError.
func ReaderWithoutBOM(r io.Reader) io.Reader {
	return &encodingReader{input: bufio.NewReaderSize(r, 64)}
}

type encodingReader struct {
	input   *bufio.Reader
	checked bool
	err     error
}

func (e *encodingReader) Read(p []byte) (int, error) {
	if !e.checked {
		e.checked = true
		begin, _ := e.input.Peek(4)
		rest, err := WithoutBOM(begin)
		if err != nil {
			e.err = err
		} else {
			_, _ = e.input.Discard(len(begin) - len(rest))
		}
	}
	if e.err != nil {
		return 0, e.err
	}
	return e.input.Read(p)
}
