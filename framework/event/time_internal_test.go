package event

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestTheCommonFormOfTimes compares the reader of the most common form with the standard library, for texts that differ from a time in one part.
func TestTheCommonFormOfTimes(t *testing.T) {
	common := 0
	for at, parts := range map[int][]string{
		0: {"0000", "0999", "1969", "9999", "x000"}, 4: {"/", "-"}, 5: {"00", "01", "12", "13", "1x"}, 8: {"00", "01", "28", "29", "30", "31", "32"}, 10: {"T", "t", " "},
		11: {"00", "23", "24", "-1"}, 14: {"00", "59", "60"}, 17: {"00", "59", "60", "+1"}, 19: {".", ","}, 20: {"000", "001", "999", "9 9"}, 23: {"Z", "z", "ZZ", ""},
	} {
		for _, part := range parts {
			text := "2026-02-04T05:06:07.008Z"
			text = text[:at] + part + text[min(at+len(part), len(text)):]
			if got, ok := readUTC(text); ok {
				want, err := time.Parse(time.RFC3339, text)
				require.NoError(t, err, text)
				assert.Equal(t, want, got, text)
				common++
			}
		}
	}
	assert.Equal(t, 22, common)
}
