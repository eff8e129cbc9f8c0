package fql_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/language/fql"
)

func TestRewrite(t *testing.T) {
	for _, c := range []struct{ given, want string }{
		{`type = "track"`, `type = "track"`},
		{`type = "track" AND event = "A AND B"`, `type = "track" and event = "A AND B"`},
		{`type = "track" Or Event == 'x == y'`, `type = "track" or Event = 'x == y'`},
		{`type=track`, `type="track"`},
		{`type != page and event="Trigger Survey"`, `type != "page" and event="Trigger Survey"`},
		{`type = track or type = page`, `type = "track" or type = "page"`},
		{`type = "track", event = "A"`, `type = "track" and event = "A"`},
		{`(type = track, event = A) && !contains(event, "x, y")`, `(type = "track" and event = "A") and !contains(event, "x, y")`},
		{`TYPE in ["a", "b"] || properties.n === 5`, `TYPE in ["a", "b"] or properties.n = 5`},
		{`properties.ok = TRUE AND userId != NULL`, `properties.ok = true and userId != null`},
		{`a <> "x" AND b => 5`, `a != "x" and b >= 5`},
		{`properties.n >= "10" and properties.s = "10" and properties.m < '-1.50'`, `properties.n >= 10 and properties.s = "10" and properties.m < -1.50`},
		{`properties.n > " 7 "`, `properties.n > 7`},
		{`"5" = properties.n AND type = track`, `"5" = properties.n and type = "track"`},
		{`event = “Signed Up” AND type = track`, `event = "Signed Up" and type = "track"`},
		{`type = $.event AND a = lowercase(b)`, `type = $.event and a = lowercase(b)`},
	} {
		got, err := fql.Rewrite(c.given)
		require.NoError(t, err, c.given)
		assert.Equal(t, c.want, got)
	}
}

func TestRewriteRefusesAmbiguousQueries(t *testing.T) {
	for text, rest := range map[string]string{ // what is left to correct
		``: ``, `event = Order Completed`: `event = "Order" Completed`, `type = "track" AND`: `type = "track" and`, `event = "open`: `event = "open`, `type is "track"`: `type is "track"`,
		`NOT type = "track"`: `NOT type = "track"`, `(type = track`: `(type = "track"`, `type = "track" AND event IN ("a")`: `type = "track" and event in ("a")`,
	} {
		_, want := fql.Compile(rest)
		require.Error(t, want, rest)
		got, err := fql.Rewrite(text)
		assert.Equal(t, want, err, text)
		assert.Empty(t, got)
	}
}

func FuzzRewrite(f *testing.F) {
	f.Add(`type = "track" AND (event == x, match(a, "b*"))`)
	f.Add("a = “\\")
	f.Add("a a = = \xe2\xc7\xc7\xc7")
	f.Fuzz(func(t *testing.T, text string) {
		if got, err := fql.Rewrite(text); err == nil {
			_, err = fql.Compile(got)
			require.NoError(t, err)
		}
	})
}

func TestTextFieldsCompareWithNumbersAsTexts(t *testing.T) {
	for _, c := range []struct {
		query, event string
		want         bool
	}{
		{`userId = 42`, `{"userId":"42"}`, true},
		{`userId = 42`, `{"userId":42}`, false},
		{`userId = 42.0`, `{"userId":"42"}`, true},
		{`userId = 1e3`, `{"userId":"1000"}`, true},
		{`userId != 0`, `{"userId":"abc"}`, true},
		{`userId != 0`, `{}`, true},
		{`userId != 0`, `{"userId":"0"}`, false},
		{`event = 404`, `{"event":"404"}`, true},
		{`42 = userId`, `{"userId":"42"}`, true},
		{`userId in [41, 42]`, `{"userId":"42"}`, true},
		{`event = true`, `{"event":"true"}`, true},
		{`event = true`, `{"event":true}`, false},
		{`userId = true`, `{"userId":true}`, true},
		{`userId = true`, `{"userId":"true"}`, false},
		{`userId > 5`, `{"userId":6}`, true},
		{`userId = null`, `{}`, true},
		{`properties.userId = 42`, `{"properties":{"userId":"42"}}`, false},
		{`properties.n != 5`, `{"properties":{"n":"x"}}`, false},
	} {
		q, err := fql.Compile(c.query)
		require.NoError(t, err)
		assert.Equal(t, c.want, q.Match(event.MustParse(c.event)), "%s on %s", c.query, c.event)
		again, err := fql.Compile(q.String())
		require.NoError(t, err)
		assert.Equal(t, c.want, again.Match(event.MustParse(c.event)), again.String())
	}
}
