package expression_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/language/mapping/internal/expression"
)

// Failures are described in words of the expression, not of Go, and without values of the event.
func TestFailuresAreInWordsOfTheExpression(t *testing.T) {
	input := event.MustParse(`{"count":3,"a":{"b":1},"l":[1,2],"s":"secret","n":null,"big":123456789012345678901234567890,"d":"2026-01-02T03:04:05Z","multiline":"a\nb"}`)
	for text, want := range map[string]string{
		`not s`: "has a text where true or false is needed", `s ? 1 : 2`: "has a text where true or false is needed", `upper(count)`: "has a number where a text is needed",
		`filter(l, #)`: "has a number where true or false is needed", `join(l, ",")`: "has a number where a text is needed", `count matches "3"`: "has a number where a text is needed",
		`s matches l`: "has a list where a text is needed", `-s`: "- cannot be used on a text", `s + 1`: "+ cannot be used on a text and a number", `s < 2`: "< cannot be used on a text and a number",
		`l + l`: "+ cannot be used on a list and a list", `a + a`: "+ cannot be used on an object and an object", `n + 1`: "+ cannot be used on null and a number",
		`big + 1`: "+ cannot be used on a number with too many digits and a number", `now() - s`: "- cannot be used on a time and a text", `int(big)`: "has a number with too many digits where a number is needed",
		`s.b`: "has a text where a number is needed", `l["x"]`: "has a text where a number is needed", `int(s)`: "the text is not a number", `float(s)`: "the text is not a number",
		`int(a)`: "has an object where a number is needed", `a.b()`: "only functions can be called", `n.b`: `"b" cannot be read from null`, `a.b.c`: `"c" cannot be read from a number`,
		`n.string`: `"string" cannot be read from null`, `l[5]`: "there is no item 5 in a list of 2", `count in a`: "the key of an object is a number where a text is needed",
		`take(l, -1)`: "the bounds are outside of the list", `map(a, #)`: "has an object where a list is needed", `any(count, true)`: "has a number where a list is needed", `count % 0`: "divides by zero",
		`len(count)`: "len cannot be used on a number", `min(l, "x")`: "min cannot be used on a text", `repeat("x", -1)`: "repeat needs a number that is not negative",
		`bitand(s, 1)`: "bitand cannot be used on a text", `keys(l)`: "keys cannot be used on a list", `toPairs(s)`: "toPairs cannot be used on a text", `take(l, s)`: "take cannot be used with a text as the number of items",
		`flatten(s)`: "flatten cannot be used on a text", `fromPairs(l)`: "fromPairs needs lists of a key and a value", `reduce([], # + #acc)`: "reduce needs an initial value for an empty list",
		`date(s)`: "the text is not a date", `duration(s)`: "the text is not a duration, such as 1h30m", `timezone(s)`: "the text is not a time zone, such as Europe/Berlin",
		`fromJSON(s)`: "the text is not JSON", `fromJSON("")`: "the text is not JSON", `fromBase64("%%")`: "the text is not base64", `1..10000000`: "memory budget exceeded: makes too many values",
		`n[s]`: "a key cannot be read from null", `mean(k[s])`: "a key cannot be read from null", `a.b?.[s]`: "a key cannot be read from a number", `n[ 'b' ]`: `"b" cannot be read from null`, `n[multiline]`: "a key cannot be read from null",
		`l[count]`: "there is no such item in a list of 2", `sort(l, s)`: "the order is neither asc nor desc", `fromPairs(s)`: "fromPairs needs lists of a key and a value",
		`fromPairs([s])`: "fromPairs needs lists of a key and a value", `count[0:1]`: "only a part of a text or a list can be taken", `bitshl(1, -count)`: "the shift count is negative",
		`groupBy([1, "1"], #)`: "produces an object with a duplicate key", `groupBy([date(d)], #)`: "produces an object with a key that is not text but a time",
		`"é" + n["b"]`: `"b" cannot be read from null`, `"[" + n[s]`: "a key cannot be read from null",
		`count / 0`: "produces +Inf, which is not a number in JSON",
	} {
		p, err := expression.Compile(text)
		require.NoError(t, err, text)
		_, err = p.Eval(input)
		assert.EqualError(t, err, want, text)
	}
}

// FuzzFailures applies functions and operators to values of all kinds.
func FuzzFailures(f *testing.F) {
	for _, text := range []string{"sortBy(l, #.x)", "mean(k[s])", "n[s]", "sort(l, s)", "fromPairs(s)", "groupBy(s, #)", "mean([s])", "max(l, s)", "date(d, s)", "s[count:]", "a[l]", "l | map(#.x.y)", "concat(l, s)", "split(s, n)", "round(a)"} {
		f.Add(text)
	}
	input := event.MustParse(`{"count":3,"a":{"b":1},"l":[1,2],"s":"secret","n":null,"t":true,"d":"2026-01-02T03:04:05Z"}`)
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Contains(text, "reflect") || strings.Contains(text, "interface") || strings.Contains(text, "secret") {
			return
		}
		p, err := expression.Compile(text)
		if err != nil {
			return
		}
		if _, err = p.Eval(input); err != nil {
			for _, word := range []string{"reflect", "interface", "secret", "runtime error"} {
				assert.NotContains(t, err.Error(), word, text)
			}
		}
	})
}
