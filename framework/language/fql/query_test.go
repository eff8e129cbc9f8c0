package fql

import (
	"bufio"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/event"
)

func compile(t testing.TB, text string) *Query {
	t.Helper()
	q, err := Compile(text)
	require.NoError(t, err)
	return q
}

func TestConformance(t *testing.T) {
	f, err := os.Open("../../../fixtures/conformance/fql.ndjson")
	require.NoError(t, err)
	defer f.Close()
	cases := 0
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for ; lines.Scan(); cases++ {
		var c struct {
			Name, Subscribe string
			Event           event.Value
			Expect          struct{ Subscribed bool }
		}
		require.NoError(t, json.Unmarshal(lines.Bytes(), &c))
		q := compile(t, c.Subscribe)
		assert.Equal(t, c.Expect.Subscribed, q.Match(c.Event), "%s: %s of %s", c.Name, c.Subscribe, c.Event.JSON())
		assert.Equal(t, c.Expect.Subscribed, q.Explain(c.Event).Matched, c.Name)
		assert.Equal(t, c.Expect.Subscribed, compile(t, q.String()).Match(c.Event), c.Name)
	}
	require.NoError(t, lines.Err())
	require.Greater(t, cases, 400)
}

const sample = `{
	"type": "track", "event": "Order Completed", "userId": "u-1", "anonymousId": "u-1", "a.b": "dot", "in": 5, "größe": 1, "$": {"x": 2},
	"properties": {
		"n": 5, "half": 2.5, "zero": 0, "big": 9007199254740993, "s": "x", "digits": "5", "empty": "", "yes": true, "no": false, "none": null,
		"product 1": {"price": "19.99"}, "list": ["a", 1, true, null, "b"], "same": ["a", 1, true, null, "b"], "twin": 5.0,
		"products": [{"name": "Hat"}, {"name": "Scarf"}], "object": {"k": 1}, "quote": "say \"hi\"\n", "japan": "ア", "spaced": "two words-here", "star": "ab*d"
	}
}`

func TestMatch(t *testing.T) {
	groups := map[string]map[string]bool{
		"equality compares type and value": {
			`properties.n = 5`: true, `properties.n = 5.0`: true, `properties.n = 50e-1`: true, `properties.n = +05`: true, `properties.n = "5"`: false,
			`properties.digits = 5`: false, `properties.digits = "5"`: true, `properties.big = 9007199254740993`: true, `properties.big = 9007199254740992`: false,
			`properties.yes = true`: true, `properties.yes = "true"`: false, `properties.no = false`: true, `properties.zero = false`: false,
			`properties.empty = ""`: true, `properties.missing = ""`: false, `properties.list = ["a", 1, true, null, "b"]`: true, `properties.list = ["a"]`: false,
			`properties.s = properties.s`: true, `properties.n = properties.twin`: true, `properties.list = properties.same`: true,
			`properties.n = properties.digits`: false, `userId = $.anonymousId`: true, `"track" = $.type`: true, `5 = 5`: true,
		},
		"inequality with a number is for numbers": {
			`properties.n != 5`: false, `properties.n != 6`: true, `6 != properties.n`: true, `properties.s != 5`: false, `properties.digits != 6`: false,
			`properties.missing != 5`: false, `properties.none != 5`: false, `properties.yes != 5`: false, `properties.list != 5`: false, `5 != properties.s`: false,
		},
		"inequality with anything else is plain": {
			`properties.s != "x"`: false, `properties.s != "y"`: true, `properties.n != "5"`: true, `properties.missing != "x"`: true,
			`properties.yes != true`: false, `properties.no != true`: true, `properties.s != true`: true, `properties.missing != true`: true,
			`properties.n != properties.digits`: true, `properties.missing != properties.n`: true, `properties.list != []`: true,
		},
		"null is absent or null": {
			`properties.none = null`: true, `properties.missing = null`: true, `properties.a.b.c = null`: true, `properties.zero = null`: false, `properties.empty = null`: false,
			`properties.none != null`: false, `properties.missing != null`: false, `event != null`: true, `null = properties.none`: true, `properties.none = properties.missing`: true,
		},
		"order is for numbers": {
			`properties.n > 4`: true, `properties.n > 5`: false, `properties.n >= 5`: true, `properties.n < 5.5`: true, `properties.n <= 4`: false, `4 < properties.n`: true,
			`properties.half > 2`: true, `properties.half < 2.5`: false, `properties.n > -5`: true, `properties.digits > 4`: false, `properties.none < 1`: false, `properties.missing <= 0`: false,
			`properties.yes > 0`: false, `properties.big > 9007199254740992`: true, `properties.big > 9007199254740993`: false, `properties.n > properties.half`: true, `properties.n > properties.s`: false,
		},
		"in looks through a list": {
			`type in ["identify", "track"]`: true, `type in ['identify']`: false, `type in[]`: false, `"a" in properties.list`: true, `"c" in properties.list`: false,
			`properties.n in [5, "6"]`: true, `properties.digits in [5]`: false, `properties.yes in [true]`: true, `properties.missing in [null]`: true, `null in properties.list`: true,
			`"x" in properties.s`: false, `"x" in properties.missing`: false, `!(type in ["track"])`: false, `!type in ["page"]`: true, `"a" in ["a"]`: true,
		},
		"text tests and their direct negation are for text": {
			`contains(event, "Order")`: true, `contains(event, "order")`: false, `contains(event, "")`: true, `!contains(event, "x")`: true, `!contains(event, "Order")`: false,
			`contains(properties.n, "5")`: false, `!contains(properties.n, "x")`: false, `contains(properties.missing, "x")`: false, `!contains(properties.missing, "x")`: false,
			`!match(properties.n, "x*")`: false, `!match(properties.missing, "x*")`: false, `!match(event, "x*")`: true, `!match(event, "Order*")`: false,
			`contains(event, properties.missing)`: false, `!contains(event, properties.n)`: false, `contains(event, properties.s)`: false, `contains(null, "x")`: false,
			`! contains (event, "x")`: true, `!contains(lowercase(properties.n), "x")`: false, `properties.none = null and !contains(properties.none, "x")`: false,
		},
		"negation of anything else is plain": {
			`!(contains(properties.n, "x"))`: true, `!(properties.n != 6)`: false, `!properties.n = 6`: true, `!(properties.s != 5)`: true, `!!contains(properties.n, "x")`: true,
			`!!!contains(properties.n, "x")`: false, `!!(contains(properties.n, "x"))`: false, `!!!(contains(properties.n, "x"))`: true, `!(type = "page" or type = "screen")`: true,
			`!contains(properties.n, "x") = true`: true, `!properties.missing > 5`: true,
		},
		"and binds tighter than or": {
			`type = "track" or type = "page" and event = "x"`: true, `type = "page" and event = "x" or type = "track"`: true, `(type = "track" or type = "page") and event = "x"`: false,
			`type = "page" or type = "track" and event = "Order Completed"`: true, `type = "x" or type = "y" or type = "track"`: true,
			`((type = "track") and ((event = "x" or (event = "Order Completed"))))`: true, `!(type = "track" and event = "x") and !!(type = "track")`: true,
		},
		"side by side means and": {
			`type = "track" event = "Order Completed"`: true, `type = "track" event = "x"`: false, `type = "track"event="Order Completed"`: true,
			`type = "x" event = "y" or type = "track"`: true, `type = "track" (event = "x" or userId = "u-1") !(type = "page")`: true, `type = "track" contains(event, "x")`: false,
			`type = "track" "a" in properties.list`: true,
		},
		"a field alone is a boolean": {
			`properties.yes`: true, `properties.no`: false, `properties.n`: false, `properties.s`: false, `properties.missing`: false, `properties.none`: false, `!properties.no`: true, `!properties.missing`: true,
			`type = "track" and (properties.no or properties.yes)`: true, `true`: true, `false`: false, `!false`: true, `type = "track" and true`: true,
		},
		"field paths": {
			`properties.product\ 1.price = "19.99"`: true, `properties["product 1"].price = "19.99"`: true, `properties['product 1']['price'] = "19.99"`: true, `a\.b = "dot"`: true, `a.b = null`: true,
			`properties.products.0.name = "Hat"`: true, `properties.products[1].name = "Scarf"`: true, `properties.products[2].name = null`: true, `properties.list.length = 5`: true,
			`$.type = "track"`: true, `\$.x = 2`: true, `\in = 5`: true, `größe = 1`: true, `gr\öße = 1`: true, `properties.zero.x = 0`: true, `properties.none.x = null`: true, `properties.empty.x = ""`: true, `properties.no.x.y = false`: true,
			`constructor = null`: true, `$.in = 5`: true,
		},
		"strings": {
			`type = 'track'`: true, `properties.quote = "say \"hi\"\n"`: true, `properties.quote = 'say "hi"` + "\n'": true, `properties.s = "\x"`: false, `properties.japan = "ア"`: true,
			`"a\r\tb" = "a\r\tb"`: true, `"a\tb" = "a	b"`: true, `length("a\r\t\\\'") = 5`: true,
			`properties.star = "ab*d"`: true, `properties.star = "ab\*d"`: false,
		},
		"white space": {
			"\n  type = \"track\"\n\tand\r\n event=\"Order Completed\" \n": true, `type="track"and event="x"`: false, `properties.n>=5 and properties.n!=6`: true, `properties.n<=-5`: false, "type\u00a0= \"track\"": true,
		},
		"patterns": {
			`match(event, "Order *")`: true, `match(event, "*Completed")`: true, `match(event, "Order")`: false, `match(event, "Order Completed")`: true, `match(event, "O?der*")`: true,
			`match(properties.star, "ab\*d")`: true, `match(properties.star, "ab\\*d")`: true, `match(properties.s, "[a-z]")`: true, `match(properties.s, "[A-Z]")`: false, `match(properties.n, "*")`: false,
			`match(properties.empty, "*")`: true, `match("Order Completed", event)`: true, `match("Button *", event)`: false, `match(event, properties.n)`: false, `match("abc", properties.missing)`: false,
		},
		"functions": {
			`length(properties.list) = 5`: true, `length(event) > 14`: true, `length(properties.japan) = 3`: true, `length(properties.missing) = 0`: true, `length(properties.object) = null`: true, `length(properties.n) = 0`: false, `length(["a", "b"]) = 2`: true,
			`lowercase(event) = "order completed"`: true, `uppercase(properties.s) = "X"`: true, `lowercase(properties.n) = null`: true, `lowercase(null) = null`: true,
			`snakecase(properties.spaced) = "two_words-here"`: true, `kebabcase(properties.spaced) = "two-words-here"`: true, `titlecase(properties.spaced) = "Two Words-here"`: true,
			`typeof(type) = "string"`: true, `typeof(properties.n) = "number"`: true, `typeof(properties.list) = "list"`: true, `typeof(properties.no) = "bool"`: true, `typeof(properties.missing) = "null"`: true, `typeof(properties.none) = "null"`: true, `typeof(properties) = "object"`: true,
			`bool(properties.n)`: true, `bool(properties.zero)`: false, `bool(properties.s)`: true, `bool(properties.empty)`: false, `bool("false")`: false, `bool(properties.list)`: true, `bool([])`: false, `bool(properties.missing)`: false, `bool(properties.no)`: false, `!bool(properties.zero)`: true,
			`string(properties.n) = "5"`: true, `string(properties.yes) = "true"`: true, `string(properties.missing) = ""`: true, `string(properties.list) = "a,1,true,,b"`: true,
			`number(properties.digits) = 5`: true, `number(" 007.50 ") = 7.5`: true, `number(properties.s) = null`: true, `number(properties.n) > 4`: true, `number(properties.yes) = null`: true, `number("1e999") = null`: true, `number(properties.s) != 5`: false,
			`lowercase(uppercase(properties.s)) = "x"`: true, `length(lowercase(event)) = 15`: true, `contains(lowercase(event), "order")`: true, `contains(event, "x") = false`: true, `bool(contains(event, "Order"))`: true, `typeof(contains(event, "x")) = "bool"`: true,
		},
	}
	root := event.MustParse(sample)
	for name, cases := range groups {
		t.Run(name, func(t *testing.T) {
			for text, want := range cases {
				q := compile(t, text)
				assert.Equal(t, want, q.Match(root), text)
				assert.Equal(t, want, q.Explain(root).Matched, "explaining %s", text)
				assert.Equal(t, want, compile(t, q.String()).Match(root), "normal form of %s", text)
			}
		})
	}
}

func TestMatchRequiresAnObject(t *testing.T) {
	for _, text := range []string{`true`, `type = null`, `type != "track"`, `!properties.x`, `!contains(type, "x")`} {
		q := compile(t, text)
		for _, v := range []event.Value{{}, event.NewNull(), event.NewString("x"), event.MustParse(`[{}]`), event.NewInt(1), event.NewBool(true)} {
			assert.False(t, q.Match(v), "%s of %s", text, v.JSON())
			assert.False(t, q.Explain(v).Matched, "%s of %s", text, v.JSON())
		}
	}
}

// TestPublishedSubscriptionsCompile compiles subscriptions of the presets and actions of Segment's destinations.
func TestPublishedSubscriptionsCompile(t *testing.T) {
	for _, text := range []string{
		`type = "track"`, `type = 'page'`, `type = "identify" or type = "group"`, `type = "track" and event = "Order Completed"`, `type="track" and event="Order Completed"`,
		`event = "Product Added" and properties.quantity != null`, `event = "Audience Entered" or event = "Audience Exited"`,
		`type = "track" and event != "Order Completed" and event != "Checkout Started"`, `type = "identify" and traits.email != null and traits.phone != null`,
		`(type = "track" and event = "Signed Up") or (type = "identify" and context.personas.computation_class = "audience")`, "  type = \"track\"\n and event = \"A\"\n",
		`type = "page" or type = "screen" or type = "track"`, `type = "track" and (event = "Click" or match( event, 'Button *' ))`, `name = "Loaded a Page"`,
		`( type = 'track' or type = 'identify' ) and ( properties.enabled or match( traits.email, '*@company.com' ) )`, `!( type in ['track', 'identify'] )`,
		`type = "identify" and !contains(traits.email, "@example.com")`, `type = "track" and context.app-version >= 2`, `match( context.library.version, '1.*' )`, `event = "warehouse-entity-added"`,
		`type = "track" and context.__segment_internal.from_request = true`, `type = "track" or type = "page" and properties.title = "A & B (c) = d"`,
	} {
		compile(t, text)
	}
}

func TestMatchDoesNotAllocate(t *testing.T) {
	e := event.MustParse(kilobyte)
	for _, text := range []string{
		`event = "Audience Entered" or event = "Audience Exited"`, `type = "track"`, `type = "identify" or type = "track"`, `event = "Audience Entered" and properties.quantity != null`,
		`type in ["page", "track"] and !(event = "x")`, `properties.revenue >= 20.5 and properties.quantity != 4`, `contains(event, "Audience") and !match(event, "*Exited")`, `bool(properties.vip) and properties.tags.length > 2`,
	} {
		q := compile(t, text)
		require.True(t, q.Match(e), text)
		assert.Zero(t, testing.AllocsPerRun(100, func() { q.Match(e) }), text)
	}
}

func TestPaths(t *testing.T) {
	q := compile(t, `type = "track" and (event = "A" or event = "B") and contains(lowercase(properties.product\ 1), $.userId) and "x" in properties.tags`)
	var keys []string
	for _, p := range q.Paths() {
		keys = append(keys, strings.Join(p.Keys(), "/"))
	}
	assert.Equal(t, []string{"type", "event", "properties/product 1", "userId", "properties/tags"}, keys)
	q.Paths()[0] = event.Path{}
	assert.Equal(t, "type", q.Paths()[0].String())
	assert.Empty(t, compile(t, "true").Paths())
}

func TestQueryIsSafeForConcurrentUse(t *testing.T) {
	q, e := compile(t, `match(event, "Order *") and type in ["track"] and lowercase(event) != "x"`), event.MustParse(sample)
	for range 8 {
		t.Run("", func(t *testing.T) {
			t.Parallel()
			for range 100 {
				assert.True(t, q.Match(e))
				assert.True(t, q.Explain(e).Matched)
				assert.NotEmpty(t, q.String()+q.Describe())
			}
		})
	}
}

const kilobyte = `{"type":"track","event":"Audience Entered","userId":"u-100","anonymousId":"a-7","messageId":"m-1","timestamp":"2026-03-04T05:06:07.008Z","receivedAt":"2026-03-04T05:06:08.000Z",
"context":{"ip":"203.0.113.9","personas":{"computation_class":"audience","computation_id":"aud_1","computation_key":"vip","namespace":"spa_1","space_id":"spa_1"},
"traits":{"email":"Ana@Example.com","first name":"Ana","plan":"gold"},"device":{"id":"dev-1","adTrackingEnabled":false},"page":{"url":"https://example.com/a?b=c","title":"Home"},"app":{"version":"1.2.3"},
"externalIds":[{"id":"x1","type":"phone","collection":"users","encoding":"none"},{"id":"x2","type":"email","collection":"users","encoding":"none"}]},
"properties":{"audience_key":"vip","vip":true,"revenue":25.5,"quantity":3,"currency":"usd","tags":["a","b","c"],"nested":{"deep":{"er":{"est":"bottom"}},"list":[[1,2],[3]]},
"products":[{"product_id":"p1","price":10,"quantity":1,"name":"Hat"},{"product_id":"p2","price":7.25,"quantity":2,"name":"Scarf"}]}}`

func BenchmarkMatch(b *testing.B) {
	for name, text := range map[string]string{
		"default": `event = "Audience Entered" or event = "Audience Exited"`,
		"type":    `type = "track"`,
		"deep":    `type = "track" and context.personas.computation_class = "audience" and properties.products.1.price < 10 and !contains(event, "Exited")`,
	} {
		b.Run(name, func(b *testing.B) { benchmarkMatch(b, text, kilobyte) })
	}
}

func BenchmarkCompile(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Compile(`event = "Audience Entered" or event = "Audience Exited"`); err != nil {
			b.Fatal(err)
		}
	}
}
