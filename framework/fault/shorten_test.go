package fault_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"

	"github.com/landfall-dev/landfall/framework/fault"
)

func TestShorten(t *testing.T) {
	for _, c := range []struct {
		text string
		most int
		want string
	}{
		{"", 3, ""},
		{"abc", 3, "abc"},
		{"abcd", 3, "abc…"},
		{"äöü", 3, "äöü"},
		{"äöüß", 3, "äöü…"},
		{"a😀b😀", 2, "a😀…"},
		{"ab\xffcd", 3, "ab…"},
		{"abc", 0, "…"},
	} {
		assert.Equal(t, c.want, fault.Shorten(c.text, c.most), "%q", c.text)
	}
}

func FuzzShorten(f *testing.F) {
	f.Add("some text", 3)
	f.Add("ä\xff€", 2)
	f.Fuzz(func(t *testing.T, text string, most int) {
		most = min(max(most, 0), 1<<16)
		got := fault.Shorten(text, most)
		if got == text {
			return
		}
		begin, cut := strings.CutSuffix(got, "…")
		if !cut || utf8.RuneCountInString(begin) > most || !utf8.ValidString(begin) {
			t.Fatalf("%q shortened to %d characters is %q", text, most, got)
		}
	})
}
