package expression

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/event"
)

// TestOnlyWhatIsReadIsConverted checks which keys of a variable an expression reads, and that the result is that of the whole value.
func TestOnlyWhatIsReadIsConverted(t *testing.T) {
	input := event.MustParse(`{"payload":{"a":1,"b":"x","list":[1,2],"in":{"c":{"d":2}},"a":7},"other":"text","n":null}`)
	for text, want := range map[string]struct {
		keys   []string // of payload; nil for all
		result string
	}{
		`payload.a`:                            {[]string{"a"}, `7`},
		`payload["a"]`:                         {[]string{"a"}, `7`},
		`payload?.in?.c.d`:                     {[]string{"in"}, `2`},
		`get(payload, "a")`:                    {[]string{"a"}, `7`},
		`payload.none ?? payload.b`:            {[]string{"b", "none"}, `"x"`},
		`map(payload.list, # + payload.a)`:     {[]string{"a", "list"}, `[8,9]`},
		`payload.list[0]`:                      {[]string{"list"}, `1`},
		`payload[payload.none ?? "b"]`:         {nil, `"x"`},
		`"b" in payload`:                       {nil, `true`},
		`len(payload)`:                         {nil, `4`},
		`let p = payload; p.b`:                 {nil, `"x"`},
		`$env.payload.b`:                       {nil, `"x"`},
		`$env["payload"].b + payload.b`:        {[]string{"b"}, `"xx"`},
		`merge(payload, {"z": payload.a}).z`:   {nil, `7`},
		`omit(payload, ["list", "in"]).b`:      {nil, `"x"`},
		`keys(payload) | sort() | first()`:     {nil, `"a"`},
		`payload.a == 7 ? payload.b : payload`: {nil, `"x"`},
		`payload.in == payload.in`:             {[]string{"in"}, `true`},
		`other`:                                {nil, `"text"`},
		`n?.x`:                                 {nil, ``},
	} {
		p, err := Compile(text)
		require.NoError(t, err, text)
		if p.whole != nil {
			p = &Program{machineProgram: *p.whole}
		}
		var keys []string
		for i := range p.variables {
			if p.variables[i].name == "payload" {
				keys = slices.Sorted(slices.Values(p.variables[i].keys))
			}
		}
		assert.Equal(t, want.keys, keys, text)
		got, err := p.Eval(input)
		require.NoError(t, err, text)
		assert.Equal(t, want.result, got.JSON(), text)
		for i := range p.variables {
			p.variables[i].keys = nil
		}
		whole, err := p.Eval(input)
		require.NoError(t, err, text)
		assert.True(t, event.Equal(whole, got), text)
	}
}
