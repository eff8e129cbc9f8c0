package textfile

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strings"
)

// MaxLine is the length of the longest line that the Lines of NewLines returns, in bytes.
const MaxLine = 1 << 20

// byteOrderMark is what some programs write at the beginning of a text.
const byteOrderMark = "\uFEFF"

// Line is one line of a file, without its end and without the byte order mark that a file joined from several has before it.
type Line struct {
	Number       int // from 1
	Text         string
	TooLong      bool // it is longer than the limit; Text is empty
	Unterminated bool // the file ends with it, without a line break
}

// Lines splits a text into lines that end with \n, \r\n or \r. It buffers one line and the lines put back with Unread.
type Lines struct {
	input  *bufio.Reader
	limit  int // of the length of a line, in bytes
	number int
	unread []Line // the next one last
}

// NewLines returns a Lines that reads from r, with lines of at most MaxLine bytes.
func NewLines(r io.Reader) *Lines { return NewLongLines(r, MaxLine) }

// NewLongLines is like NewLines, with another limit.
func NewLongLines(r io.Reader, limit int) *Lines {
	return &Lines{input: bufio.NewReaderSize(r, bufferSize), limit: limit}
}

// Unread puts lines back. Next returns them again, in their order.
func (l *Lines) Unread(lines ...Line) {
	for i := len(lines) - 1; i >= 0; i-- {
		l.unread = append(l.unread, lines[i])
	}
}

// Number returns how many lines have been read from the file.
func (l *Lines) Number() int { return l.number }

// Next returns the next line, or io.EOF after the last one. If reading fails in the middle of a line, that line is not returned.
func (l *Lines) Next() (Line, error) {
	if n := len(l.unread); n > 0 {
		line := l.unread[n-1]
		l.unread = l.unread[:n-1]
		return line, nil
	}
	var text []byte
	line, begun := Line{Number: l.number + 1}, false
	for {
		if _, err := l.input.Peek(1); err != nil {
			if !begun || !errors.Is(err, io.EOF) {
				return Line{}, err
			}
			line.Unterminated = true
			break
		}
		begun = true
		chunk, _ := l.input.Peek(l.input.Buffered())
		end := bytes.IndexAny(chunk, "\r\n")
		part := chunk
		if end >= 0 {
			part = chunk[:end]
		}
		if line.TooLong = line.TooLong || len(text)+len(part) > l.limit; line.TooLong {
			text = nil
		} else {
			text = append(text, part...)
		}
		if end >= 0 {
			l.endLine(chunk[end], end+1)
			break
		}
		_, _ = l.input.Discard(len(chunk))
	}
	l.number++
	line.Text = strings.TrimLeft(string(text), byteOrderMark)
	return line, nil
}

// endLine skips a line and its end, which may be \r\n.
func (l *Lines) endLine(last byte, size int) {
	_, _ = l.input.Discard(size)
	if last != '\r' {
		return
	}
	if next, _ := l.input.Peek(1); string(next) == "\n" {
		_, _ = l.input.Discard(1)
	}
}
