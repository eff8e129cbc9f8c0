package event

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/internal/testsize"
)

// Both readers share the functions for escapes, so they are compared with encoding/json.
func TestEscapesAreReadLikeEncodingJSON(t *testing.T) {
	var texts []string
	for c := range 256 { // each byte as an escape, and at each place of a Unicode escape
		char := string([]byte{byte(c)})
		texts = append(texts, `\`+char, `\`+char+`1234`)
		for place := range 4 {
			digits := []string{"0", "0", "e", "9"}
			digits[place] = char
			texts = append(texts, `\u`+strings.Join(digits, ""))
		}
	}
	step := testsize.Of(7, 97)
	for r := 0; r < 0x10000; r += step {
		texts = append(texts, fmt.Sprintf(`\u%04x`, r), fmt.Sprintf(`\u%04X`, r))
	}
	texts = append(texts, `\`, `\u`, `\u00e`, `\u00ef`, `\u00EF`, `\u00fF`, `\uabcdef`, `\uABCDEF`, `\ud83d\ude00`, `\uD83D\uDE00`, `\ud83d`, `\ude00`,
		`\ud83d\u0041`, `\ud83d\ud83d\ude00`, `\ud83dx`, `\ud83d\n`)
	long := strings.Repeat("x", maxShortLength) // too long for the fast reader
	for _, text := range texts {
		for _, written := range []string{text, "a" + text + "z", long + text} {
			compareWithJSON(t, `{"k":"`+written+`"}`)
		}
	}
}

func compareWithJSON(t *testing.T, text string) {
	var want struct{ K string }
	bad := json.Unmarshal([]byte(text), &want)
	got, err := ParseString(text)
	if bad != nil {
		assert.Error(t, err, "%q", text)
		return
	}
	require.NoError(t, err, "%q", text)
	assert.Equal(t, want.K, got.Get("k").Str(), "%q", text)
}
