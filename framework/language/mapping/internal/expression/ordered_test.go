package expression_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/language/mapping/internal/expression"
)

// TestMembersOfObjectsHaveAnOrder checks that an event makes the same payload each time: Go's maps have no order.
func TestMembersOfObjectsHaveAnOrder(t *testing.T) {
	e := event.MustParse(`{"o": {"z": 1, "a": 2, "": 3, "ü": 4, "b c": 5, "10": 6, "9": 7}, "l": [{"n": 2}, {"n": 10}, {"n": 1}], "e": {}}`)
	for text, want := range map[string]string{
		`keys(o)`:                     `["","10","9","a","b c","z","ü"]`,
		`values(o)`:                   `[3,6,7,2,5,1,4]`,
		`toPairs(o)[1]`:               `["10",6]`,
		`map(toPairs(o), #[1])`:       `[3,6,7,2,5,1,4]`,
		`keys(groupBy(l, .n))`:        `[1,10,2]`,
		`len(values(groupBy(l, .n)))`: `3`,
		`keys(e)`:                     `[]`,
		`o | keys() | first()`:        `""`,
		`map(l, keys(#)[0])`:          `["n","n","n"]`,
	} {
		program, err := expression.Compile(text)
		require.NoError(t, err, text)
		for range 20 {
			got, err := program.Eval(e)
			require.NoError(t, err, text)
			require.Equal(t, want, got.JSON(), text)
		}
	}
	for _, text := range []string{`keys(l)`, `values(1)`, `toPairs("x")`} {
		program, err := expression.Compile(text)
		if err == nil {
			_, err = program.Eval(e)
		}
		assert.ErrorContains(t, err, "cannot", text)
	}
}
