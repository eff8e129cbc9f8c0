package stream

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/event"
)

// linesOf returns all lines of an input and the final error.
func linesOf(input io.Reader, size int) (lines []string, err error) {
	b := newLineReader(input, size)
	for {
		raw, err := b.readLine()
		lines = append(lines, string(raw))
		if err != nil {
			return lines, err
		}
	}
}

// FuzzLineReader compares the lines of a lineReader with the lines of the whole text, for readers of different block sizes.
func FuzzLineReader(f *testing.F) {
	for _, seed := range []string{"", "a", "a\nb\r\n\nc", "\n\n", strings.Repeat("0123456789\n", 50), strings.Repeat("x", 200) + "\ny"} {
		f.Add(seed, uint8(7))
	}
	f.Fuzz(func(t *testing.T, text string, piece uint8) {
		want := strings.Split(text, "\n")
		for i := range want {
			want[i] = strings.TrimSuffix(want[i], "\r")
		}
		readers := map[string]io.Reader{
			"whole": strings.NewReader(text), "halves": iotest.HalfReader(strings.NewReader(text)),
			"with its end": iotest.DataErrReader(strings.NewReader(text)), "pieces": &pieces{text, int(piece) + 1},
		}
		for name, reader := range readers {
			got, err := linesOf(reader, 64)
			assert.Equal(t, io.EOF, err)
			assert.Equal(t, want, got, name)
		}
	})
}

// pieces returns a text a few bytes at a time.
type pieces struct {
	rest string
	size int
}

func (p *pieces) Read(into []byte) (int, error) {
	if p.rest == "" {
		return 0, io.EOF
	}
	n := copy(into[:min(len(into), p.size)], p.rest)
	p.rest = p.rest[n:]
	return n, nil
}

func TestBlocksAreNotOverwritten(t *testing.T) {
	b := newLineReader(iotest.HalfReader(strings.NewReader(strings.Repeat("abcdefg\n", 100_000))), 1000)
	var lines [][]byte
	for {
		raw, err := b.readLine()
		if err != nil {
			break
		}
		lines = append(lines, raw)
	}
	require.Len(t, lines, 100_000)
	for _, line := range lines {
		require.Equal(t, "abcdefg", string(line))
	}
}

func TestTooLongLinesAreTruncated(t *testing.T) {
	long := strings.Repeat("x", event.MaxBytes)
	for _, more := range []string{"", "\r", "y", strings.Repeat("y", 3*blockSize)} {
		lines, err := linesOf(strings.NewReader("a\n"+long+more+"\nb\n"+long+more), blockSize)
		require.Equal(t, io.EOF, err)
		require.Len(t, lines, 4)
		assert.Equal(t, []string{"a", "b"}, []string{lines[0], lines[2]})
		for _, line := range []string{lines[1], lines[3]} {
			assert.Len(t, line, event.MaxBytes+min(len(strings.TrimSuffix(more, "\r")), 1))
		}
	}
}

func TestInputErrors(t *testing.T) {
	failed := errors.New("broken")
	lines, err := linesOf(io.MultiReader(strings.NewReader("a\nb"), iotest.ErrReader(failed)), blockSize)
	assert.Equal(t, failed, err)
	assert.Equal(t, []string{"a", "b"}, lines)
	_, err = linesOf(readerFunc(func([]byte) (int, error) { return 0, nil }), blockSize)
	assert.Equal(t, io.ErrNoProgress, err)
	_, err = linesOf(io.MultiReader(bytes.NewReader(make([]byte, event.MaxBytes+blockSize)), iotest.ErrReader(failed)), blockSize)
	assert.Equal(t, failed, err)
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(into []byte) (int, error) { return f(into) }

// TestLinesOfDamagedIDs checks that a line whose id was damaged, or which is a batch, is no event.
func TestLinesOfDamagedIDs(t *testing.T) {
	for line, want := range map[string]string{
		"{\"type\":\"page\",\"userId\":\"ren\xe9\"}":  errNoUTF8.Error(),
		`{"type":"page","userId":"ren\ufffd"}`:        "userId has a character that was lost in a conversion (U+FFFD), or is not valid UTF-8: send the event in UTF-8",
		`{"type":"page","userId":["u"]}`:              "userId should be a string but is an array",
		`{"batch":[{"type":"page","userId":"u"}]}`:    "it is a batch: give each event by itself",
		`{"type":"page","properties":{"a":"\ufffd"}}`: "",
	} {
		_, err := parseLine([]byte(line))
		if want == "" {
			assert.NoError(t, err, line)
		} else {
			assert.EqualError(t, err, want, line)
		}
	}
}
