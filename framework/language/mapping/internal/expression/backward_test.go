package expression_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/language/mapping/internal/expression"
)

// TestSearchesFromTheEndLeaveNothingBehind checks searches from the end within other expressions.
func TestSearchesFromTheEndLeaveNothingBehind(t *testing.T) {
	input := event.MustParse(`{"items":[{"id":"a","p":"x"},{"id":"b","p":"y"},{"id":"a","p":"z"},{"id":"c"}],"none":[],"ids":["a","b","d"]}`)
	for text, want := range map[string]string{
		`findLast(items, .id == "a")?.p`:                                                   `"z"`,
		`["s", findLast(items, .id == "a")?.p, 7]`:                                         `["s","z",7]`,
		`{"id": "s", "p": findLast(items, .id == "a" && not blank(.p))?.p}`:                `{"id":"s","p":"z"}`,
		`map(ids, let id = #; {"id": id, "p": findLast(items, .id == id)?.p ?? "none"})`:   `[{"id":"a","p":"z"},{"id":"b","p":"y"},{"id":"d","p":"none"}]`,
		`["s", findLast(none, true) == nil]`:                                               `["s",true]`,
		`["s", findLastIndex(items, .id == "a"), findLastIndex(items, .id == "d") == nil]`: `["s",2,true]`,
		`map(ids, let id = #; findLastIndex(items, .id == id) ?? -1)`:                      `[2,1,-1]`,
		`findLastIndex(items, findLastIndex(ids, # == "d") == 2)`:                          `3`,
		`["s", findLast(items, any(map(ids, #index), # == 0)).id]`:                         `["s","c"]`,
	} {
		p, err := expression.Compile(text)
		require.NoError(t, err, text)
		got, err := p.Eval(input)
		require.NoError(t, err, text)
		assert.Equal(t, want, got.JSON(), text)
	}
}
