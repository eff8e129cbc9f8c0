package expression_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/language/mapping/internal/expression"
)

var v = event.MustParse(`{"userId":"u1","n":5,"f":25.5,"id":9007199254740993,"t":true,"none":null,"tags":["a","b"],
	"o":{"k":{"x":1}},"list":[{"p":1,"s":"x"},{"p":3,"s":"y"}],"when":"2026-01-02T03:04:05Z"}`)

func TestEval(t *testing.T) {
	cases := map[string]string{
		`userId`: `"u1"`, `n + 1`: `6`, `f * 2`: `51`, `id`: `9007199254740993`, `id + 1`: `9007199254740994`,
		`nope`: ``, `none`: ``, `o?.k?.x`: `1`, `nope?.x?.y`: ``, `[none, n]`: `[null,5]`,
		`t ? "yes" : "no"`: `"yes"`, `upper(userId) + "!"`: `"U1!"`, `f > 20 and n == 5`: `true`,
		`map(list, .p)`: `[1,3]`, `filter(list, .p > 2)`: `[{"p":3,"s":"y"}]`, `sum(list, .p)`: `4`, `any(tags, # == "b")`: `true`,
		`map(list, {{"id": .s, "n": .p * 2}})`: `[{"id":"x","n":2},{"id":"y","n":6}]`, `{"a": userId}`: `{"a":"u1"}`,
		`date(when).Year()`: `2026`, `date(when)`: `"2026-01-02T03:04:05Z"`, `let x = n * 2; x + 1`: `11`,
		`join(tags, "-")`: `"a-b"`, `len(list)`: `2`, `7 / 2`: `3.5`, `first(tags) ?? "none"`: `"a"`, `nope ?? "none"`: `"none"`,
		`"a" in tags`: `true`, `all(list, any(tags, # != ""))`: `true`, `1..3`: `[1,2,3]`,
	}
	for text, want := range cases {
		p, err := expression.Compile(text)
		if !assert.NoError(t, err, text) {
			continue
		}
		got, err := p.Eval(v)
		assert.NoError(t, err, text)
		assert.Equal(t, want, got.JSON(), text)
	}
}

func TestCompileShowsThePosition(t *testing.T) {
	_, err := expression.Compile("userId +\n  * 2")
	require.ErrorContains(t, err, "line 2, column 3: \"*\" does not fit here")
	_, err = expression.Compile(strings.Repeat("1+", expression.MaxLength))
	assert.ErrorContains(t, err, "should be at most 10000 bytes long")
	_, err = expression.Compile(strings.Repeat("1+", 1500) + "1")
	assert.ErrorContains(t, err, "at most 1000 are allowed")
	for _, text := range []string{`1 + "a"`, `upper(1)`, `not 5`, `"a" > 1`, `len(5)`} {
		_, err = expression.Compile(text)
		assert.Error(t, err, "%s can never be evaluated", text)
	}
	_, err = expression.Compile("n + uper(1)")
	assert.EqualError(t, err, `line 1, column 5: unknown function "uper" (did you mean "upper"?)`)
	_, err = expression.Compile("\n\nn @ 2")
	assert.ErrorContains(t, err, `line 3, column 3: "@" does not fit here`)
}

func TestEvalErrors(t *testing.T) {
	cases := map[string]string{
		`1 / 0`: "produces +Inf", `n + userId`: "+ cannot be used on a number and a text", `tags[9]`: "there is no item 9 in a list of",
		`repeat("x", 1000000000)`: "memory budget", `map(1..100000000, #)`: "memory budget", `upper`: "",
		`userId matches ("(" + userId)`: "the pattern is not a regular expression", `userId matches n`: "has a number where a text is needed",
		`int("x")`: "the text is not a number", `convertDates(tags, "^[0-9]", "seconds", "no")`: "inLists should be true or false", `fromBase64("/w==")`: "not UTF-8", `repeat("xx", 5000000000000000000)`: "memory budget", `{"a": {"b": 1 / 0}}`: "produces +Inf", `[[1 / 0]]`: "produces +Inf",
		`substitute("a", "a", 1 / 0)`: "produces +Inf", `extract(1 / 0, "a")`: "produces +Inf", `sha256(1 / 0)`: "produces +Inf", `seconds(1 / 0)`: "produces +Inf",
		`pick(1, ["a"])`: "an object is needed, not a number", `pick(o, "a")`: "a list of keys is needed, not a text", `merge(o, 1)`: "merge needs objects, not a number", `userId.x`: "has a text where a number is needed", `convertDates(tags, "^[0-9]", "days", false)`: "should be \"seconds\" or \"utc\"",
	}
	for text, want := range cases {
		p, err := expression.Compile(text)
		if err != nil {
			continue
		}
		_, err = p.Eval(v)
		if want != "" {
			assert.ErrorContains(t, err, want, text)
		}
	}
}

func TestStepsAreBounded(t *testing.T) {
	items := make([]event.Value, 100_000)
	for i := range items {
		items[i] = event.NewInt(int64(i))
	}
	long := event.NewObject([]event.Member{{Key: "l", Value: event.NewArray(items)}})
	p, err := expression.Compile("all(l, all(l, all(l, # >= 0)))")
	require.NoError(t, err)
	_, err = p.Eval(long)
	assert.EqualError(t, err, "takes more than 1000000 steps")
	p, err = expression.Compile("count(l, # % 2 == 0)")
	require.NoError(t, err)
	got, err := p.Eval(long)
	require.NoError(t, err)
	assert.Equal(t, "50000", got.JSON())
}

// TestPaths checks which parts of the input an expression reads: constant keys, without the names that it defines itself. One that reads
// none is constant, unless it cannot be parsed or reads the clock.
func TestIndirectPaths(t *testing.T) {
	for text, want := range map[string]string{
		`payload.items[0].sku + payload.items[-1]["a b"]`:            "[payload items 0 sku] [payload items [] a b]",
		`payload.items[payload.n].sku`:                               "",
		`payload.items`:                                              "",
		`map(payload.items, .sku)`:                                   "[payload items [] sku]",
		`payload.items | filter(#.a.b > 1) | map(.tags[2].c)`:        "[payload items [] a b] [payload items [] tags 2 c]",
		`map(payload.orders, map(.items, .sku + #index))`:            "[payload orders [] items [] sku] [payload orders [] items]",
		`map(payload.orders, all(payload.items, .sku == payload.a))`: "[payload items [] sku]",
		`find(payload.items ?? [], .a == 1)?.b`:                      "[payload items [] a] [payload items [] b]",
		`reduce(payload.items, #acc + .q, 0)`:                        "[payload items [] q]",
		`first(sortBy(payload.items, .q)).r`:                         "[payload items [] q] [payload items [] r]",
		`map(1..3, # + 1)`:                                           "",
		`map(keys(payload.m), #.x)`:                                  "",
		`let p = payload; let list = p.items; list[0].a + p.b`:       "[payload b] [payload items 0 a] [payload items]",
		`let payload = payload.who; payload.id`:                      "",
		`let who = payload.who; who.id`:                              "[payload who id]",
		`let a = b.x; let b = a.y; b.z`:                              "",
		`{let a = payload; a.x} + {let a = settings; a.y}`:           "",
		`map(payload.items, {let i = #; i.sku})`:                     "[payload items [] sku] [payload items []]",
		`$env.payload.items[0].a`:                                    "",
		`a[`:                                                         "",
		"a[0].b" + strings.Repeat(" ", expression.MaxLength):         "",
		`map(payload.items, .a) | map(.b)`:                           "[payload items [] a]",
		`payload.items[0].a[1].b ?? last(payload.items).c`:           "[payload items 0 a 1 b] [payload items [] c]",
	} {
		var got []string
		for _, path := range expression.IndirectPaths(text) {
			got = append(got, fmt.Sprint(path))
		}
		slices.Sort(got)
		assert.Equal(t, want, strings.Join(got, " "), text)
	}
}

func TestPaths(t *testing.T) {
	for text, want := range map[string][][]string{
		`payload.a + payload["b c"]`: {{"payload", "a"}, {"payload", "b c"}},
		`payload[key].x`:             {{"key"}, {"payload"}},
		`let p = payload; p.a`:       {{"payload"}},
		`1 + 2`:                      nil,
		`let n = 1; n + 1`:           nil,
		`now().Year() + 1`:           nil,
		`a +`:                        nil,
		`sha265(a)`:                  {{"a"}},
		"a + " + strings.Repeat(" ", expression.MaxLength): nil,
	} {
		paths, constant := expression.Paths(text)
		assert.ElementsMatch(t, want, paths, text)
		assert.Equal(t, text == `1 + 2` || text == `let n = 1; n + 1`, constant, text)
	}
}

func TestConcurrentUse(t *testing.T) {
	p, err := expression.Compile("map(list, .p + n)")
	require.NoError(t, err)
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 100 {
				if got, err := p.Eval(v); err != nil || got.JSON() != "[6,8]" {
					t.Errorf("%s, %v", got.JSON(), err)
					return
				}
			}
		})
	}
	group.Wait()
}

func FuzzCompileEval(f *testing.F) {
	for _, seed := range []string{`n + 1`, `map(list, .p)`, `tags[0]`, `{"a": [o, none]}`, `filter(list, any(tags, #))`, `$env`, `let x = f; x * x`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := expression.Compile(text)
		if err != nil {
			return
		}
		got, err := p.Eval(v)
		if err == nil && strings.Contains(got.JSON(), "landfall_steps") {
			t.Fatalf("%q shows what is not the event's: %s", text, got.JSON())
		}
	})
}

// TestSizeOfResultsIsLimited checks that results are limited before they are allocated: each of these expressions would need
// gigabytes or never end.
func TestSizeOfResultsIsLimited(t *testing.T) {
	big := event.NewObject([]event.Member{
		{Key: "s", Value: event.NewString(strings.Repeat("x", 16))}, {Key: "m", Value: event.NewString(strings.Repeat("m", 1<<20))},
		{Key: "l", Value: event.NewArray(slices.Repeat([]event.Value{event.NewString("e")}, 10_000))},
	})
	for _, text := range []string{
		`reduce(1..40, #acc + #acc, s)`, `reduce(1..40, concat(#acc, #acc), l)`, `reduce(1..40, [#acc, #acc], s)`,
		`reduce(1..40, {{"a": #acc, "b": #acc}}, s)`, `reduce(1..40, [#acc, #acc], s) == reduce(1..40, [#acc, #acc], s)`,
		`toJSON(reduce(1..40, [#acc, #acc], s))`, `string(reduce(1..40, [#acc, #acc], s))`, `flatten(reduce(1..40, [#acc, #acc], s))`,
		`repeat(m, 900000)`, `repeat(repeat(s, 60000), 60000)`, `replace(m, "m", m)`, `replace(m, "", m)`, `join(l, m)`, `join(map(1..500000, m))`,
		`split(m, "") | map(m) | join()`, `map(1..1000, m)`, `map(1..500, m + string(#index))`, `toJSON(map(1..1000, m))`,
		`map(1..10000, l)`, `reduce(1..100000, #acc + len(reverse(l)), 0)`, `reduce(1..100000, #acc + len(sort(l)), 0)`, `reduce(1..100000, #acc + len(lower(m)), 0)`, `map(1..1000, upper(m))`, `reduce(1..100, #acc + m, "")`, `reduce(1..40, replace(#acc, "x", "xx"), s)`,
		`reduce(1..40, join([#acc, #acc]), s)`, `reduce(1..40, toJSON([#acc, #acc]), s)`, `reduce(1..60, toJSON(#acc), "\"\\\"")`,
		`reduce(1..40, let x = #acc; x + x + x + x, s)`, `fromJSON("[" + repeat("0,", 400000) + repeat("0,", 400000) + "0]")`,
		`map(1..1000, map(1..1000, m))`, `reduce(1..30, groupBy(l, #) | toPairs() | concat(#acc, #acc), l)`,
		`` + strings.Repeat(`m + `, 300) + `m`,
	} {
		p, err := expression.Compile(text)
		if !assert.NoError(t, err, text) {
			continue
		}
		_, err = p.Eval(big)
		assert.ErrorContains(t, err, "memory budget exceeded", text)
	}
	for text, want := range map[string]int{
		`reduce(1..10, #acc + #acc, s)`: 16<<10 + 2, `m + m`: 2<<20 + 2, `join(l, s)`: 10_000 + 9_999*16 + 2, `len(toJSON(l))`: 5, `repeat(s, 3)`: 50,
		`replace(s, "x", "ab")`: 34, `len(split(join(l), ""))`: 5, `string(l)`: 20_003, `toJSON({"a": [1]})`: 30, `replace("aaa", "a", "b", 2)`: 5,
	} {
		p, err := expression.Compile(text)
		require.NoError(t, err, text)
		got, err := p.Eval(big)
		require.NoError(t, err, text)
		assert.Len(t, got.JSON(), want, text)
	}
}
