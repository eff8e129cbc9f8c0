package fql

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
)

func FuzzCompileMatch(f *testing.F) {
	for _, text := range append(mistakes, `type = "track" and (event = "A" or !contains(event, "b"))`, `properties.a["x y"][0] in [1, "a", null]`, `match(lowercase(event), "o* [a-z]?\\*")`) {
		f.Add(text, kilobyte)
	}
	f.Fuzz(func(t *testing.T, text, on string) {
		q, err := Compile(text)
		if err != nil {
			for _, p := range fault.ProblemsOf(err) {
				assert.NotEmpty(t, p.Message)
				assert.Positive(t, p.Line)
			}
			return
		}
		v, err := event.ParseString(on)
		if err != nil {
			v = event.MustParse(kilobyte)
		}
		matched := q.Match(v)
		assert.Equal(t, matched, q.Explain(v).Matched, "%s explains itself wrongly", text)
		assert.NotEmpty(t, q.Describe())
		if len(text) > MaxBytes/8 {
			return // spelled out it may be longer than a query can be
		}
		again, err := Compile(q.String())
		require.NoError(t, err, "%q prints as %q, which does not compile", text, q.String())
		assert.Equal(t, q.String(), again.String())
		assert.Equal(t, matched, again.Match(v), "%q and %q differ", text, q.String())
	})
}
