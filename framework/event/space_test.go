package event_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/landfall-dev/landfall/framework/event"
)

func TestTrimSpace(t *testing.T) {
	for text, want := range map[string]string{
		"":                          "",
		" \t\r\n\v\f":               "",
		" a b ":                     "a b",
		"\u00a0\u2003\u3000x\u1680": "x",
		"\u2028x\u2029\u202f\u205f": "x",
		"\ufeffx\ufeff":             "x",
		"\u0085x\u0085":             "\u0085x\u0085",
		"\u200bx\u180e":             "\u200bx\u180e",
		"a\u0000":                   "a\u0000",
	} {
		assert.Equal(t, want, event.TrimSpace(text), "%q", text)
	}
}
