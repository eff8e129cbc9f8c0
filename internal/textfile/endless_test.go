package textfile_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/internal/textfile"
)

// zeros is a source like /dev/zero, which counts what is read.
type zeros struct{ read int }

func (z *zeros) Read(p []byte) (int, error) {
	clear(p)
	z.read += len(p)
	return len(p), nil
}

func TestEndlessLine(t *testing.T) {
	for _, before := range []string{"", "first\nsecond\n", "first\rsecond\r"} {
		source := &zeros{}
		lines := textfile.NewLines(textfile.NewReader(io.MultiReader(strings.NewReader(before), source)))
		for range strings.FieldsFunc(before, func(r rune) bool { return r == '\n' || r == '\r' }) {
			line, err := lines.Next()
			require.NoError(t, err)
			assert.False(t, line.TooLong)
		}
		_, err := lines.Next()
		var endless *textfile.EndlessLineError
		require.ErrorAs(t, err, &endless)
		assert.Less(t, source.read, 65<<20)
	}
}

// TestLongLinesThatEnd checks that what counts is the length of each line, not of the text.
func TestLongLinesThatEnd(t *testing.T) {
	line := append(bytes.Repeat([]byte("x"), 3<<20), '\n')
	var inputs []io.Reader
	for range 30 {
		inputs = append(inputs, bytes.NewReader(line))
	}
	lines := textfile.NewLongLines(textfile.NewReader(io.MultiReader(inputs...)), 2<<20)
	for {
		line, err := lines.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		assert.True(t, line.TooLong)
	}
	assert.Equal(t, 30, lines.Number())
	short := textfile.NewLongLines(strings.NewReader("12345\n123456\n"), 5)
	first, _ := short.Next()
	second, _ := short.Next()
	assert.Equal(t, []bool{false, true}, []bool{first.TooLong, second.TooLong})
}
