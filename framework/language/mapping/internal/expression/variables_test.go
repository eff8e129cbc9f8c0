package expression_test

import (
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/language/mapping/internal/expression"
)

// Keys of events that are also names of functions are read like all others, and $env is the event.
func TestVariables(t *testing.T) {
	input := event.MustParse(`{"type":"track","count":3,"a":{"b":1},"sha256":"x"}`)
	for text, want := range map[string]string{
		`type`: `"track"`, `type == "track" ? 1 : 2`: `1`, `type in ["page", "track"]`: `true`, `type + "!"`: `"track!"`, `type(a)`: `"map"`,
		`count + 1`: `4`, `[1, 2] | map(# + count)`: `[4,5]`, `count([1, 2], # > 1)`: `1`, `len ?? "none"`: `"none"`, `sha256 + sha256("")[:2]`: `"xe3"`,
		`let total = count; total * 2`: `6`, `{"type": type}`: `{"type":"track"}`, `a.type ?? type`: `"track"`,
		`$env.type`: `"track"`, `$env["count"]`: `3`, `$env.a.b`: `1`, `get($env, "count")`: `3`, `sort(keys($env))`: `["a","count","sha256","type"]`,
		`"landfall_steps" in $env`: `false`,
	} {
		p, err := expression.Compile(text)
		require.NoError(t, err, text)
		got, err := p.Eval(input)
		require.NoError(t, err, text)
		assert.Equal(t, want, got.JSON(), text)
	}
	assert.Equal(t, [][]string{{"type"}}, expression.Paths(`type == "track"`))
	assert.Equal(t, [][]string{{"a", "b"}, {"type"}}, expression.Paths(`$env.type + $env.a.b`))
}

// Compilations share the tables of functions.
func TestExpressionsCompileConcurrently(t *testing.T) {
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for range 20 {
				_, err := expression.Compile(`type == "track" ? count * 100 : sha256(lower(trim(a.b ?? "")))`)
				assert.NoError(t, err)
			}
		})
	}
	group.Wait()
}
