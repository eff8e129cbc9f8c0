package liquid

import (
	"math/rand/v2"
	"regexp"
	"testing"

	"github.com/stretchr/testify/assert"
)

// TestSlugsKeepTheSameCharacters compares the characters that each mode keeps with the patterns of Jekyll's slugify.
func TestSlugsKeepTheSameCharacters(t *testing.T) {
	patterns := map[string]string{
		"raw": `\s+`, "default": `[^\p{M}\p{L}\p{Nd}]+`, "pretty": `[^\p{M}\p{L}\p{Nd}._~!$&'()+,;=@]+`, "ascii": `[^A-Za-z0-9]+`, "latin": `[^A-Za-z0-9]+`,
	}
	assert.Len(t, slugModes, len(patterns))
	random := rand.New(rand.NewPCG(1, 2))
	alphabet := []string{"a", "Z", "0", "9", "é", "e\u0301", "ß", "日", "١", "²", "_", ".", "~", "'", "@", "=", "-", " ", "\t", "\n", "\v", "\f", "\r", "\u00a0", "\ufeff", "😀", "\xff", "\xc3", "\x00"}
	for mode, pattern := range patterns {
		others := regexp.MustCompile(pattern)
		for range 2000 {
			text := ""
			for range random.IntN(12) {
				text += alphabet[random.IntN(len(alphabet))]
			}
			assert.Equal(t, others.ReplaceAllString(text, "-"), joinKept(text, slugModes[mode]), "%s of %q", mode, text)
		}
	}
}
