package expression

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/event"
)

// TestPassedPartsAreNotConverted checks which parts of the input an expression passes on, and that the result, or the error, is the same as if
// all had been converted.
func TestPassedPartsAreNotConverted(t *testing.T) {
	input := event.MustParse(`{"payload":{"a":1,"b":"x","f":1.50,"n":null,"list":[1,{"c":[2]}],"in":{"c":{"d":2},"n":null}},"other":{"in":{"e":3}},"empty":{},"keys":["in"],"text":"t"}`)
	for text, want := range map[string]struct {
		passed int
		result string // "" if the expression fails
	}{
		`payload`:                                           {1, `{"a":1,"b":"x","f":1.5,"n":null,"list":[1,{"c":[2]}],"in":{"c":{"d":2},"n":null}}`},
		`payload.in`:                                        {1, `{"c":{"d":2},"n":null}`},
		`payload.f`:                                         {1, `1.5`},
		`{"t": payload.in, "b": payload.b}`:                 {2, `{"t":{"c":{"d":2},"n":null},"b":"x"}`},
		`[payload.list, other.in, payload.none]`:            {3, `[[1,{"c":[2]}],{"e":3},null]`},
		`pick(payload, ["in", "n"])`:                        {1, `{"in":{"c":{"d":2},"n":null},"n":null}`},
		`pick(payload, keys)`:                               {1, `{"in":{"c":{"d":2},"n":null}}`},
		`omit(payload, ["list", "in", "f"])`:                {1, `{"a":1,"b":"x","n":null}`},
		`compact(payload.in)`:                               {1, `{"c":{"d":2}}`},
		`compact(payload.list)`:                             {1, `[1,{"c":[2]}]`},
		`compact([payload.n, payload.list])`:                {2, `[[1,{"c":[2]}]]`},
		`merge(payload.in, other, {"x": text})`:             {3, `{"c":{"d":2},"n":null,"in":{"e":3},"x":"t"}`},
		`pick(merge(payload, other), ["in"])`:               {2, `{"in":{"e":3}}`},
		`merge(payload.n, empty)`:                           {2, `{}`},
		`payload.n ?? other.in`:                             {2, `{"e":3}`},
		`pick(payload.none ?? payload.in, ["c"])`:           {2, `{"c":{"d":2}}`},
		`text == "t" ? payload.in : other`:                  {2, `{"c":{"d":2},"n":null}`},
		`none?.in?.c`:                                       {1, `null`},
		`{"x": payload?.in?.c, "y": none?.in}`:              {2, `{"x":{"d":2},"y":null}`},
		`let p = payload.in; {"p": p, "o": other}`:          {1, `{"p":{"c":{"d":2},"n":null},"o":{"in":{"e":3}}}`},
		`{"n": len(payload.list), "l": payload.list}`:       {1, `{"n":2,"l":[1,{"c":[2]}]}`},
		`{"j": json(payload.in), "i": payload.in}`:          {1, `{"j":"{\"c\":{\"d\":2},\"n\":null}","i":{"c":{"d":2},"n":null}}`},
		`["z", findLast(payload.list, # == 1), payload.in]`: {1, `["z",1,{"c":{"d":2},"n":null}]`},
		`{"i": findLastIndex(payload.list, # == 1), "p": payload.in, "z": "z"}`: {1, `{"i":0,"p":{"c":{"d":2},"n":null},"z":"z"}`},
		`map(keys, {{"k": #, "p": payload.in}})`:                                {0, `[{"k":"in","p":{"c":{"d":2},"n":null}}]`},
		`payload.list[1]`:                                                       {0, `{"c":[2]}`},
		`pick(payload, ["in"]).in.c`:                                            {0, `{"d":2}`},
		`merge(payload.in, other).in.e`:                                         {0, `3`},
		`payload.in == other.in`:                                                {0, `false`},
		`not (payload.n ?? true)`:                                               {0, `false`},
		`$env.payload.in`:                                                       {1, `{"c":{"d":2},"n":null}`},
		`pick($env, ["keys", "text"])`:                                          {1, `{"keys":["in"],"text":"t"}`},
		`none.in`:                                                               {1, ``},
		`{"x": text.in.c}`:                                                      {1, ``},
		`pick(text, ["a"])`:                                                     {1, ``},
		`merge(payload.list, other)`:                                            {2, ``},
		`pick(payload, ["in"]) + 1`:                                             {0, ``},
	} {
		p, err := Compile(text)
		require.NoError(t, err, text)
		assert.Len(t, p.passed, want.passed, text)
		got, err := p.Eval(input)
		assert.Equal(t, want.result == "", err != nil, text)
		if want.result != "" {
			assert.True(t, event.Equal(event.MustParse(want.result), event.MustParse(orNull(got))), "%s: %s", text, got.JSON())
		}
		if p.whole == nil {
			continue
		}
		whole, wholeErr := (&Program{machineProgram: *p.whole}).Eval(input)
		assert.Equal(t, wholeErr, err, text)
		assert.True(t, event.Equal(whole, got), text)
	}
}

func orNull(v event.Value) string {
	if !v.Exists() {
		return "null"
	}
	return v.JSON()
}

// TestPassedPartsAreCharged checks that a result which repeats a large part is refused.
func TestPassedPartsAreCharged(t *testing.T) {
	list := make([]event.Value, 100_000)
	for i := range list {
		list[i] = event.NewString("0123456789")
	}
	input := event.NewObject([]event.Member{{Key: "a", Value: event.NewArray(list)}})
	p, err := Compile(`[a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a]`)
	require.NoError(t, err)
	_, err = p.Eval(input)
	assert.ErrorContains(t, err, "memory budget")
}
