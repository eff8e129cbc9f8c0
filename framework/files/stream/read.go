package stream

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/landfall-dev/landfall/framework/destination/pool"
	"github.com/landfall-dev/landfall/framework/event"
)

// line is one line of the input that has been read: an event, or why it is none.
type line struct {
	number int // from 1
	bytes  int
	event  event.Event
	err    error
}

// Bounds of the lines that are read ahead together.
const (
	aheadLines = 128
	aheadBytes = 256 << 10
)

// aheadPool is room for lines that are read ahead.
var aheadPool pool.Slice[line]

// readAhead reads events, beside the goroutine that takes them: a few lines at a time, and no longer than the input has some at
// hand. Lines of white space are passed over. It closes out at the end of the input and where it fails, and gives up when stop is
// closed.
func readAhead(input io.Reader, complete func(event.Event) event.Event, out chan<- []line, stop <-chan struct{}) error {
	defer close(out)
	lines, ahead, size := newBlocks(input, blockSize), aheadPool.Get(aheadLines)[:0], 0
	for number := 1; ; number++ {
		raw, err := lines.next()
		if err == nil || errors.Is(err, io.EOF) {
			if len(bytes.TrimSpace(raw)) > 0 {
				e, bad := event.Parse(raw)
				if bad == nil {
					e = complete(e)
				}
				ahead = append(ahead, line{number, len(raw), e, bad})
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
		ahead, size = aheadPool.Get(aheadLines)[:0], 0
	}
}

// blocks reads lines of any length. A line is part of the block that it was read with, and keeps that. Since the lines that wait
// follow each other, and their bytes are bounded, so are the blocks.
type blocks struct {
	input io.Reader
	size  int    // of a block, in bytes; longer lines have larger ones
	block []byte // read so far, and never written again
	from  int    // where in it the next line begins
	end   int    // where in it that line ends, -1 where it is not known
	err   error  // of the input, for when the block is used up
}

// blockSize is how much is read at once, in bytes.
const blockSize = 128 << 10

func newBlocks(input io.Reader, size int) *blocks { return &blocks{input: input, size: size, end: -1} }

// more tells whether the next line is at hand.
func (b *blocks) more() bool { return b.end >= 0 }

// next is the next line without its end, of a long one at most a byte more than an event may have. The last line comes with the
// error, which may be io.EOF.
func (b *blocks) next() ([]byte, error) {
	for b.end < 0 && b.err == nil && len(b.block)-b.from <= event.MaxBytes+1 { // and perhaps a return
		b.fill()
	}
	var err error
	if b.end < 0 {
		if err = b.err; err == nil {
			return b.nextLong()
		}
	}
	return short(bytes.TrimSuffix(b.cut(), []byte("\r"))), err
}

// short is the beginning of a line, enough to see that it is too long.
func short(line []byte) []byte { return line[:min(len(line), event.MaxBytes+1)] }

// cut takes the line up to its end, which is that of the block where there is none, and looks for the end of the next one.
func (b *blocks) cut() []byte {
	end, next := b.end, b.end+1
	if end < 0 {
		end, next = len(b.block), len(b.block)
	}
	line := b.block[b.from:end:end]
	b.from = next
	b.seek(next)
	return line
}

// nextLong takes the beginning of a line that is too long, and passes over the rest of it.
func (b *blocks) nextLong() ([]byte, error) {
	line := short(b.cut())
	for b.end < 0 && b.err == nil {
		b.from = len(b.block)
		b.fill()
	}
	if b.end < 0 {
		return line, b.err
	}
	b.cut()
	return line, nil
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
	b.seek(len(b.block) - n)
}

// seek looks for the end of the next line from a place on.
func (b *blocks) seek(from int) {
	if b.end = bytes.IndexByte(b.block[from:], '\n'); b.end >= 0 {
		b.end += from
	}
}
