package stream

import (
	"bufio"
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
	lines, ahead, size := bufio.NewReaderSize(input, 1<<16), aheadRoom.Take(aheadLines)[:0], 0
	for number := 1; ; number++ {
		raw, err := readLine(lines)
		if err == nil || errors.Is(err, io.EOF) {
			if len(bytes.TrimSpace(raw)) > 0 {
				e, bad := event.Parse(raw)
				ahead = append(ahead, line{number, e, bad})
				size += len(raw)
			}
			if err == nil && len(ahead) < aheadLines && size < aheadBytes && lines.Buffered() > 0 {
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

// readLine reads a line of any length, keeping at most one byte more than an event may have.
func readLine(lines *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		part, err := lines.ReadSlice('\n')
		if room := event.MaxBytes + 1 - len(line); room > 0 {
			line = append(line, part[:min(room, len(part))]...)
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			for n := len(line); n > 0 && (line[n-1] == '\n' || line[n-1] == '\r'); n-- {
				line = line[:n-1]
			}
			return line, err
		}
	}
}
