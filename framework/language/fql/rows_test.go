package fql

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestRowsOfAQuery(t *testing.T) {
	for query, want := range map[string][]Row{
		`event = "Audience Entered"`: {{Left: "event", Operator: "=", Right: "Audience Entered"}},
		`(event = "A" or event = "B") and context.personas.computation_key = "vip"`: {
			{Left: "event", Operator: "=", Right: "A"}, {Or: true, Left: "event", Operator: "=", Right: "B"}, {Left: "context.personas.computation_key", Operator: "=", Right: "vip"},
		},
		`properties.n >= 5 and properties.s != "5"`:         {{Left: "properties.n", Operator: ">=", Right: "5"}, {Left: "properties.s", Operator: "!=", Right: `"5"`}},
		`contains(event, "Order") and !match(event, "* *")`: {{Left: "event", Operator: "contains", Right: "Order"}, {Left: "event", Operator: "does not match", Right: "* *"}},
		`userId != null and traits.email = null`:            {{Left: "userId", Operator: "is present"}, {Left: "traits.email", Operator: "is missing"}},
		`traits.vip and !traits.blocked`:                    {{Left: "traits.vip", Operator: "is true"}, {Left: "traits.blocked", Operator: "is not true"}},
		`traits.a = $.userId`:                               {{Left: "traits.a", Operator: "=", Right: "$.userId"}},
		`traits.a in ["x", "y"]`:                            {{Left: "traits.a", Operator: "in", Right: `["x", "y"]`}},
		`traits.a = ""`:                                     {{Left: "traits.a", Operator: "=", Right: `""`}},
		`traits.a = "true"`:                                 {{Left: "traits.a", Operator: "=", Right: `"true"`}},
		`lowercase(event) = "signed \"up\""`:                {{Left: "lowercase(event)", Operator: "=", Right: `signed "up"`}},
	} {
		q, err := Compile(query)
		require.NoError(t, err)
		rows, ok := q.Rows()
		assert.True(t, ok, query)
		assert.Equal(t, want, rows, query)
		assert.Equal(t, q.String(), FromRows(rows), query)
	}
	for _, query := range []string{`a.b = 1 or (a.c = 1 and a.d = 2)`, `!(a.b = 1)`, `!(a.b = 1 or a.c = 2)`, `(a.b = 1 and a.c = 2) or a.d = 3`} {
		q, err := Compile(query)
		require.NoError(t, err)
		_, ok := q.Rows()
		assert.False(t, ok, query)
	}
}

// TestRowsKeepTheMeaning checks random queries: one that has rows is the same query when it is made from them.
func TestRowsKeepTheMeaning(t *testing.T) {
	shown, g := 0, generator{rand.New(rand.NewPCG(7, 8))}
	for range 2000 {
		text, _, _ := g.query(g.IntN(3))
		q := compile(t, text)
		rows, ok := q.Rows()
		if !ok {
			continue
		}
		shown++
		require.Equal(t, q.String(), compile(t, FromRows(rows)).String(), text)
	}
	assert.Positive(t, shown)
}
