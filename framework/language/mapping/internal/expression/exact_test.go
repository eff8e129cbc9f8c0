package expression_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/language/mapping/internal/expression"
)

var numbers = event.MustParse(`{"big":18446744073709551616,"neg":-9223372036854775809,"top":9223372036854775807,"low":-9223372036854775808,
	"list":[{"k":"a","n":1},{"k":"b","n":2},{"k":"a","n":3}],"pairs":[["x",1],["y",[2]]],"ids":[18446744073709551616,2,2,null,true,1.5]}`)

func TestIntegersAreExact(t *testing.T) {
	for text, want := range map[string]string{
		`big`: `18446744073709551616`, `neg`: `-9223372036854775809`, `[big, 1]`: `[18446744073709551616,1]`, `{"v": big}`: `{"v":18446744073709551616}`,
		`big == big`: `true`, `big == neg`: `false`, `top - 1`: `9223372036854775806`, `low + top`: `-1`, `top * 1`: `9223372036854775807`,
		`top * 0`: `0`, `-1 * top`: `-9223372036854775807`, `"a" + "b"`: `"ab"`, `1.5 + 1`: `2.5`, `2 - 0.5`: `1.5`, `0 - top`: `-9223372036854775807`, `-top`: `-9223372036854775807`, `-1.5 + -2`: `-3.5`,
		`ids[0] ?? 1`: `18446744073709551616`, `filter(ids, # != 2)[0]`: `18446744073709551616`,
	} {
		assert.Equal(t, want, evaluated(t, text), text)
	}
	for _, text := range []string{`big + 1`, `big > 5`, `-big`, `top + 1`, `low - 1`, `top * 2`, `low * -1`, `-1 * low`, `big * 0.5`, `-low`, `sum([big])`} {
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
