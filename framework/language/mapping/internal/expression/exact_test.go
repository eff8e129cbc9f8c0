package expression_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/language/mapping/internal/expression"
)

var numbers = event.MustParse(`{"big":18446744073709551616,"neg":-9223372036854775809,"top":9223372036854775807,"low":-9223372036854775808,"id":9007199254740993,
	"list":[{"k":"a","n":1},{"k":"b","n":2},{"k":"a","n":3}],"pairs":[["x",1],["y",[2]]],"ids":[18446744073709551616,2,2,null,true,1.5]}`)

func TestIntegersAreExact(t *testing.T) {
	for text, want := range map[string]string{
		`big`: `18446744073709551616`, `neg`: `-9223372036854775809`, `[big, 1]`: `[18446744073709551616,1]`, `{"v": big}`: `{"v":18446744073709551616}`,
		`big == big`: `true`, `big == neg`: `false`, `top - 1`: `9223372036854775806`, `low + top`: `-1`, `top * 1`: `9223372036854775807`,
		`top * 0`: `0`, `-1 * top`: `-9223372036854775807`, `"a" + "b"`: `"ab"`, `1.5 + 1`: `2.5`, `2 - 0.5`: `1.5`, `0 - top`: `-9223372036854775807`, `-top`: `-9223372036854775807`, `-1.5 + -2`: `-3.5`,
		`ids[0] ?? 1`: `18446744073709551616`, `filter(ids, # != 2)[0]`: `18446744073709551616`,
		`id / 1`: `9007199254740993`, `-id / 1`: `-9007199254740993`, `id / 3`: `3002399751580331`, `3 * id / 3`: `9007199254740993`, `top / top`: `1`,
		`4 / 2`: `2`, `type(4 / 2)`: `"float"`, `10 / 4`: `2.5`, `id / 0.5`: `18014398509481984`,
		`3 ** 39`: `4052555153018976267`, `(-3) ^ 39`: `-4052555153018976267`, `id ** 1`: `9007199254740993`, `2 ** -1`: `0.5`, `2 ** 0.5`: `1.4142135623730951`, `2 ** 100`: `1.2676506002282294e+30`,
		`round(id)`: `9007199254740993`, `floor(-id)`: `-9007199254740993`, `ceil(id)`: `9007199254740993`, `round(2.5)`: `3`, `abs(-1.5)`: `1.5`, `abs(-id)`: `9007199254740993`, `type(round(3))`: `"float"`,
		`int(id)`: `9007199254740993`, `int("12")`: `12`, `int(-1.9)`: `-1`,
		`sum([id, 2])`: `9007199254740995`, `sum(1..100)`: `5050`, `sum([])`: `0`, `sum([1.5, 2])`: `3.5`, `sum(list, .n * 2)`: `12`, `sum(filter(list, .n > 1), .n)`: `5`,
	} {
		assert.Equal(t, want, evaluated(t, text), text)
	}
	for _, text := range []string{`sum([top, 1])`, `sum(list, top)`, `sum(absent)`, `sum(["a"])`, `abs(low)`, `low / -1`, `int(1e19)`, `int(-1e19)`, `id / 0`, `big / 1`, `round(big)`, `big + 1`, `big > 5`, `-big`, `top + 1`, `low - 1`, `top * 2`, `low * -1`, `-1 * low`, `big * 0.5`, `-low`, `sum([big])`} {
		p, err := expression.Compile(text)
		require.NoError(t, err, text)
		got, err := p.Eval(numbers)
		assert.Error(t, err, "%s gives %s", text, got.JSON())
	}
}

func TestCollectionsOfAnyKind(t *testing.T) {
	for text, want := range map[string]string{
		`groupBy(list, .k)`:               `{"a":[{"k":"a","n":1},{"k":"a","n":3}],"b":[{"k":"b","n":2}]}`,
		`groupBy(list, .n > 1)`:           `{"false":[{"k":"a","n":1}],"true":[{"k":"b","n":2},{"k":"a","n":3}]}`,
		`groupBy(ids, #)`:                 `{"1.5":[1.5],"18446744073709551616":[18446744073709551616],"2":[2,2],"null":[null],"true":[true]}`,
		`fromPairs(pairs)`:                `{"x":1,"y":[2]}`,
		`fromPairs([[1, "a"], [2, "b"]])`: `{"1":"a","2":"b"}`,
		`fromPairs(toPairs({"a": 1}))`:    `{"a":1}`,
		`split("a,b", ",")`:               `["a","b"]`,
		`{"g": groupBy(list, .k)["b"]}`:   `{"g":[{"k":"b","n":2}]}`,
		`keys({"a": 1})`:                  `["a"]`,
	} {
		assert.Equal(t, want, evaluated(t, text), text)
	}
	for text, want := range map[string]string{
		`fromPairs([[1, "a"], ["1", "b"]])`:       "duplicate key",
		`groupBy(["2026-01-02"], date(#))`:        "a key that is not text",
		`{"v": groupBy(["2026-01-02"], date(#))}`: "a key that is not text",
	} {
		p, err := expression.Compile(text)
		require.NoError(t, err, text)
		_, err = p.Eval(numbers)
		assert.ErrorContains(t, err, want, text)
	}
}

func evaluated(t *testing.T, text string) string {
	t.Helper()
	p, err := expression.Compile(text)
	require.NoError(t, err, text)
	got, err := p.Eval(numbers)
	require.NoError(t, err, text)
	return got.JSON()
}
