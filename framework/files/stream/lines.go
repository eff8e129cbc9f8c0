package stream

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/event/incoming"
	"github.com/landfall-dev/landfall/internal/pool"
)

// line is a parsed line of the input: an event, or the error of parsing it.
type line struct {
	number int // from 1
	bytes  int
	event  event.Event
	err    error
}

// Limits of a group of lines that is passed to the runner at once.
const (
	aheadLines = 128
	aheadBytes = 256 << 10
)

// linePool recycles groups of lines.
var linePool pool.Slice[line]

// readAhead reads and parses events in groups, concurrently with the goroutine that receives them. It sends a group early if the next
// line is not buffered yet, and skips blank lines. It closes out when the input ends or fails, and returns when stop is closed.
func readAhead(input io.Reader, complete func(event.Event) event.Event, out chan<- []line, stop <-chan struct{}) error {
	defer close(out)
	lines, ahead, size := newLineReader(input, blockSize), linePool.Get(aheadLines)[:0], 0
	for number := 1; ; number++ {
		raw, err := lines.readLine()
		if err == nil || errors.Is(err, io.EOF) {
			if len(bytes.TrimSpace(raw)) > 0 {
				e, bad := parseLine(raw)
				if bad == nil {
					e = complete(e)
				}
				ahead = append(ahead, line{number, len(raw), e, bad})
				size += len(raw)
			}
			if err == nil && len(ahead) < aheadLines && size < aheadBytes && lines.hasLine() {
				continue
			}
		}
		select {
		case out <- ahead:
		case <-stop:
			return nil
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading the events: line %d: %w", number, err)
		}
		ahead, size = linePool.Get(aheadLines)[:0], 0
	}
}

// errNoUTF8 is the error of a line in another encoding. event.Parse would replace its characters, and with them the user whom it names.
var errNoUTF8 = errors.New("it is not valid UTF-8: save the file as UTF-8")

func parseLine(raw []byte) (event.Event, error) {
	if !utf8.Valid(raw) {
		return event.Event{}, errNoUTF8
	}
	return incoming.ParseLine(raw)
}

// lineReader reads lines of any length. A line is a slice of the block that it was read into, and keeps that block in memory. Memory is
// bounded because pending lines are consecutive and their total size is limited.
type lineReader struct {
	input io.Reader
	size  int    // block size in bytes; longer lines get larger blocks
	block []byte // bytes read so far; never overwritten
	from  int    // start of the next line in block
	end   int    // end of that line in block; -1 if unknown
	err   error  // read error, returned after the last line
}

// blockSize is the number of bytes read at once.
const blockSize = 128 << 10

// newLineReader returns a lineReader with blocks of size bytes.
func newLineReader(input io.Reader, size int) *lineReader {
	return &lineReader{input: input, size: size, end: -1}
}

// hasLine reports whether the next line is completely buffered.
func (b *lineReader) hasLine() bool { return b.end >= 0 }

// readLine returns the next line without its line break. It truncates a line that is too long for an event to one byte more than
// the limit. The last line is returned together with the read error, usually io.EOF.
func (b *lineReader) readLine() ([]byte, error) {
	for b.end < 0 && b.err == nil && len(b.block)-b.from <= event.MaxBytes+1 { // + 1 for a possible carriage return
		b.readMore()
	}
	var err error
	if b.end < 0 {
		if err = b.err; err == nil {
			return b.readLongLine()
		}
	}
	return truncateLine(bytes.TrimSuffix(b.takeLine(), []byte("\r"))), err
}

// truncateLine cuts a line to one byte more than an event can have.
func truncateLine(line []byte) []byte { return line[:min(len(line), event.MaxBytes+1)] }

// takeLine returns the line up to its end, or to the end of the block if the line's end is unknown, and finds the end of the next line.
func (b *lineReader) takeLine() []byte {
	end, next := b.end, b.end+1
	if end < 0 {
		end, next = len(b.block), len(b.block)
	}
	line := b.block[b.from:end:end]
	b.from = next
	b.findLineEnd(next)
	return line
}

// readLongLine returns the start of a line that is too long, and skips the rest.
func (b *lineReader) readLongLine() ([]byte, error) {
	line := truncateLine(b.takeLine())
	for b.end < 0 && b.err == nil {
		b.from = len(b.block)
		b.readMore()
	}
	if b.end < 0 {
		return line, b.err
	}
	b.takeLine()
	return line, nil
}

// readMore reads more bytes, into a new block if the current one is full.
func (b *lineReader) readMore() {
	if rest := b.block[b.from:]; len(b.block) == cap(b.block) {
		b.block = append(make([]byte, 0, max(b.size, 2*len(rest))), rest...)
		b.from = 0
	}
	var n int
	for tries := 0; n == 0 && b.err == nil; tries++ {
		if tries == 100 {
			b.err = io.ErrNoProgress
			return
		}
		n, b.err = b.input.Read(b.block[len(b.block):cap(b.block)])
	}
	b.block = b.block[:len(b.block)+n]
	b.findLineEnd(len(b.block) - n)
}

// findLineEnd finds the end of the next line, searching from an offset.
func (b *lineReader) findLineEnd(from int) {
	if b.end = bytes.IndexByte(b.block[from:], '\n'); b.end >= 0 {
		b.end += from
	}
}
