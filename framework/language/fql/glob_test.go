package fql

import (
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestGlob(t *testing.T) {
	cases := []struct {
		pattern  string
		yes, not []string
	}{
		{"", []string{""}, []string{"a"}},
		{"abc", []string{"abc"}, []string{"ab", "abcd", "ABC", ""}},
		{"a*d", []string{"ad", "abcd", "add"}, []string{"a", "abc", "bad!"}},
		{"*", []string{"", "a", "a\nb"}, nil},
		{"**", []string{"", "a"}, nil},
		{"*d", []string{"d", "abcd"}, []string{"", "da"}},
		{"ab*ab", []string{"abab", "abxab"}, []string{"ab", "aab"}},
		{"*ab*cd*", []string{"abcd", "xabxcdx"}, []string{"cdab", "abc"}},
		{"*aab", []string{"aaab"}, []string{"aaba"}},
		{"a??d", []string{"abcd", "aüßd", "a😀😀d"}, []string{"abd", "abbcd"}},
		{"?", []string{"a", "ü", "😀"}, []string{"", "ab"}},
		{"*?b", []string{"ab", "aab", "bb"}, []string{"b", "ba"}},
		{"ab[cC]d", []string{"abcd", "abCd"}, []string{"abd", "abccd"}},
		{"[a-z]*[0-9]", []string{"a1", "abc9"}, []string{"A1", "a", "1a"}},
		{"[a-cx-z_]", []string{"b", "y", "_"}, []string{"d", "-"}},
		{"[ä-ü]", []string{"ö"}, []string{"a", "z"}},
		{"[-a]", []string{"-", "a"}, []string{"b"}},
		{"[a-]", []string{"-", "a"}, []string{"b"}},
		{"[z-a]", nil, []string{"z", "a", "m", "-"}},
		{"[^a]", []string{"^", "a"}, []string{"b"}},
		{`[\]\\]`, []string{"]", `\`}, []string{"["}},
		{`ab\*d`, []string{"ab*d"}, []string{"abxd", `ab\*d`}},
		{`\?\[\a`, []string{"?[a"}, []string{"x[a"}},
		{"[draft*", []string{"[draft", "[draft 2"}, []string{"d"}},
		{"[]", []string{"[]"}, []string{"", "["}},
		{"a]", []string{"a]"}, []string{"a"}},
		{`a\`, []string{`a\`}, []string{"a"}},
	}
	for _, c := range cases {
		g := newGlob(c.pattern)
		for _, s := range c.yes {
			assert.True(t, g.matches(s), "%s of %q", c.pattern, s)
		}
		for _, s := range c.not {
			assert.False(t, g.matches(s), "%s of %q", c.pattern, s)
		}
	}
}

func TestGlobMatchesLikeARegularExpression(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	pick := func(parts []string, most int) string {
		var b strings.Builder
		for range r.IntN(most) {
			b.WriteString(parts[r.IntN(len(parts))])
		}
		return b.String()
	}
	patterns := strings.NewReplacer("*", ".*", "?", ".")
	for range 5000 {
		pattern, s := pick([]string{"*", "?", "a", "b", "ü", "[ab]", "*a"}, 7), pick([]string{"a", "b", "ü", "c"}, 9)
		want := regexp.MustCompile("^" + patterns.Replace(pattern) + "$").MatchString(s)
		assert.Equal(t, want, newGlob(pattern).matches(s), "%s of %s", pattern, s)
	}
}

func TestGlobIsNotExponential(t *testing.T) {
	text := strings.Repeat("a", 20_000)
	start := time.Now()
	for _, pattern := range []string{strings.Repeat("*a", 400) + "b", strings.Repeat("*?", 400) + "b", strings.Repeat("a*", 300) + "b*", "*" + strings.Repeat("[ab]", 200) + "b*"} {
		assert.False(t, newGlob(pattern).matches(text), pattern)
	}
	assert.Less(t, time.Since(start), time.Minute, "it takes a part of a second on an idle machine")
}
