package compressed

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/internal/testsize"
)

const limit = 1 << 20

// TestStoredForm reads a text as it is stored: the format stays.
func TestStoredForm(t *testing.T) {
	text := strings.Repeat(`{"n":1}`+"\n", 10) + "{}     \n"
	stored, err := hex.DecodeString("17000000581c7b226e223a317d0a1108150039187d20202020200a")
	require.NoError(t, err)
	for _, spare := range []string{"", " ", "  ", "\x00", "\x00\x00"} { // zeros are from earlier versions
		read, err := Text(nil, append(bytes.Clone(stored), spare...), limit)
		require.NoError(t, err)
		assert.Equal(t, text, string(read))
	}
}

// TestTexts checks that a text has space for an erasure and is read again, also into a buffer that is used again.
func TestTexts(t *testing.T) {
	random := make([]byte, 1<<16)
	_, _ = rand.NewChaCha8([32]byte{}).Read(random)
	data, buffer := []byte("before"), []byte(nil)
	for _, text := range [][]byte{nil, []byte("a"), random, bytes.Repeat([]byte("0123456789abcdef"), 1<<16), []byte("b")} {
		data = Append(data[:6], text)
		require.Equal(t, "before", string(data[:6]))
		stored := data[6:]
		block := headSize + int(binary.LittleEndian.Uint32(stored))
		require.GreaterOrEqual(t, len(stored), max(block+minSpare, len(text)/maxRatio))
		require.Empty(t, bytes.Trim(stored[block:], " "))
		read, err := Text(buffer, stored, limit)
		require.NoError(t, err)
		require.Equal(t, string(text), string(read))
		buffer = read
		fitted := Fit(len(stored), text)
		require.Len(t, fitted, len(stored))
		require.Empty(t, bytes.Trim(fitted[headSize+int(binary.LittleEndian.Uint32(fitted)):], " "))
		read, err = Text(nil, fitted, limit)
		require.NoError(t, err)
		require.Equal(t, string(text), string(read))
	}
	assert.Nil(t, Fit(len(random)/2, random))
	_, err := Text(nil, Append(nil, random), len(random)-1)
	require.ErrorIs(t, err, ErrDamaged, "it is longer than expected")
}

// TestErasedEventsFit erases events of texts with few and many repetitions. What replaces them always fits.
func TestErasedEventsFit(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range testsize.Of(100, 20) {
		repetitions, padding := random.IntN(5), strings.Repeat("x", 30+random.IntN(100))
		var lines []string
		for range 1 + random.IntN(1000) {
			line := `{"userId":"` + padding + `"}` // equal to others, as no real events are
			if random.IntN(4) >= repetitions {
				line = fmt.Sprintf(`{"type":"track","userId":"u%d","messageId":"%x"}`, random.IntN(100), random.Uint64())
			}
			lines = append(lines, line)
		}
		stored := Append(nil, []byte(strings.Join(lines, "\n")))
		share := random.Float64()
		for i, line := range lines {
			if random.Float64() < share {
				lines[i] = "{}" + strings.Repeat(" ", len(line)-2)
			}
		}
		want := strings.Join(lines, "\n")
		fitted := Fit(len(stored), []byte(want))
		require.NotNil(t, fitted)
		require.Len(t, fitted, len(stored))
		text, err := Text(nil, fitted, limit)
		require.NoError(t, err)
		require.Equal(t, want, string(text))
	}
}

// FuzzText reads any data: it returns a text within the limit or an error.
func FuzzText(f *testing.F) {
	f.Add(Append(nil, []byte("{}")), uint16(2))
	f.Add([]byte{5, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0x0f}, uint16(9))
	for _, damaged := range [][]byte{nil, {1, 0, 0}, {2, 0, 0, 0, 1}, {0, 0, 0, 0}, {1, 0, 0, 0, 9}, {0xff, 0xff, 0xff, 0xff}} {
		f.Add(damaged, uint16(9))
	}
	f.Fuzz(func(t *testing.T, data []byte, limit uint16) {
		text, err := Text(nil, data, int(limit))
		if err != nil {
			assert.ErrorIs(t, err, ErrDamaged)
			assert.Nil(t, text)
			return
		}
		assert.LessOrEqual(t, len(text), int(limit))
	})
}
