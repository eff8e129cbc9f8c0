package fql

import (
	"math/big"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/landfall-dev/landfall/framework/event"
)

func TestParseNumber(t *testing.T) {
	cases := map[string]string{
		"5": "5", "+5": "5", "-5": "-5", "007": "7", "-00.50": "-0.50", "0": "0", "000": "0", "0.0": "0.0", "1e3": "1e3", "01E-2": "1E-2", "0e5": "0e5",
		"9007199254740993": "9007199254740993",
		"":                 "", "-": "", "1.": "", ".5": "", "1e": "", "1 ": "", "0x10": "", "1e999": "", "-1e999": "", "Infinity": "", "NaN": "", "1_000": "", "٣": "",
	}
	for text, want := range cases {
		v, ok := parseNumber(text)
		assert.Equal(t, want != "", ok, text)
		assert.Equal(t, want, v.Digits(), text)
	}
}

func TestCompareNumbers(t *testing.T) {
	rising := []string{"-1e300", "-9007199254740994", "-9007199254740993", "-100", "-20", "-1.5", "-1", "0", "1e-9", "1", "1.5", "2", "10", "99", "1e2", "9007199254740993", "9007199254740994", "1e300"}
	for i, a := range rising {
		for j, b := range rising {
			x, y := event.MustParse(a), event.MustParse(b)
			got := compareNumbers(x, y)
			assert.Equal(t, i < j, got < 0, "%s < %s", a, b)
			assert.Equal(t, i == j, got == 0, "%s = %s", a, b)
			assert.Equal(t, event.EqualDigits(a, b), got == 0, "%s = %s", a, b)
		}
	}
	assert.Zero(t, compareNumbers(event.MustParse("-0"), event.MustParse("0")))
	assert.Zero(t, compareNumbers(event.MustParse("100"), event.MustParse("1e2")))
}

func TestCompareNumbersLikeWholeNumbers(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	some := func() string {
		digits := strings.TrimLeft(strconv.FormatUint(r.Uint64()>>r.IntN(64), 10)+strings.Repeat("7", r.IntN(3)), "0")
		if digits == "" {
			return "0"
		}
		return []string{"", "-"}[r.IntN(2)] + digits
	}
	for range 2000 {
		a, b := some(), some()
		x, _ := new(big.Int).SetString(a, 10)
		y, _ := new(big.Int).SetString(b, 10)
		assert.Equal(t, x.Cmp(y), compareNumbers(event.MustParse(a), event.MustParse(b)), "%s and %s", a, b)
	}
}
