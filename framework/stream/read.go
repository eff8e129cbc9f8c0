package stream

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/room"
)

// line is one line of the input that has been read: an event, or why it is none.
type line struct {
	number int // from 1
	event  event.Event
	err    error
}

// Bounds of the lines that are read ahead together.
const (
	aheadLines = 128
	aheadBytes = 256 << 10
)

// aheadRoom is room for lines that are read ahead.
var aheadRoom room.Of[line]

// readAhead reads events, beside the goroutine that takes them: a few lines at a time, and no longer than the input has some at
// hand. Lines of white space are passed over. It closes out at the end of the input and where it fails, and gives up when stop is
// closed.
func readAhead(input io.Reader, out chan<- []line, stop <-chan struct{}) error {
	defer close(out)
	lines, ahead, size := blocks{input: input, size: blockSize}, aheadRoom.Take(aheadLines)[:0], 0
	for number := 1; ; number++ {
		raw, err := lines.next()
		if err == nil || errors.Is(err, io.EOF) {
			if len(bytes.TrimSpace(raw)) > 0 {
				e, bad := event.Parse(raw)
				ahead = append(ahead, line{number, e, bad})
				size += len(raw)
			}
			if err == nil && len(ahead) < aheadLines && size < aheadBytes && lines.more() {
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
			return fmt.Errorf("reading the events: %w", err)
		}
		ahead, size = aheadRoom.Take(aheadLines)[:0], 0
	}
}

// blocks reads lines of any length. A line is part of the block that it was read with, and keeps that: the events that wait follow
// each other, so that not much else is kept with them.
type blocks struct {
	input io.Reader
	size  int    // of a block, in bytes; longer lines have larger ones
	block []byte // read so far, and never written again
	from  int    // where in it the next line begins
	err   error  // of the input, for when the block is used up
}

// blockSize is how much is read at once, in bytes.
const blockSize = 128 << 10

// more tells whether something has been read beyond the last line.
func (b *blocks) more() bool { return b.from < len(b.block) }

// next is the next line without its end, of a long one at most a byte more than an event may have. The last line comes with the
// error, which may be io.EOF.
func (b *blocks) next() ([]byte, error) {
	for searched := 0; ; {
		if i := bytes.IndexByte(b.block[b.from+searched:], '\n'); i >= 0 {
			return b.cut(searched+i, 1), nil
		}
		if searched = len(b.block) - b.from; b.err != nil {
			return b.cut(searched, 0), b.err
		}
		if searched > event.MaxBytes {
			return b.cutLong()
		}
		b.fill()
	}
}

// cut takes a line of n bytes, and what ends it.
func (b *blocks) cut(n, end int) []byte {
	line := bytes.TrimSuffix(b.block[b.from:b.from+n:b.from+n], []byte("\r"))
	b.from += n + end
	return line[:min(len(line), event.MaxBytes+1)]
}

// cutLong takes the beginning of a line that is too long, and passes over the rest of it.
func (b *blocks) cutLong() ([]byte, error) {
	line := b.cut(event.MaxBytes+1, 0)
	for {
		if i := bytes.IndexByte(b.block[b.from:], '\n'); i >= 0 {
			b.from += i + 1
			return line, nil
		}
		if b.from = len(b.block); b.err != nil {
			return line, b.err
		}
		b.fill()
	}
}

// fill reads more, into a new block where this one is full.
func (b *blocks) fill() {
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
}
