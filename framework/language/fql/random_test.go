package fql

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/event"
)

// generator returns random queries together with a second, independent implementation of each: a Go function.
type generator struct{ *rand.Rand }

type meaning func(e map[string]any) bool

func pick[T any](g generator, of ...T) T { return of[g.IntN(len(of))] }

func (g generator) field() (string, func(map[string]any) any) {
	top, name := pick(g, "properties", "traits"), pick(g, "a", "b", "c")
	return top + "." + name, func(e map[string]any) any {
		inner, _ := e[top].(map[string]any)
		return inner[name]
	}
}

func (g generator) condition() (string, meaning) {
	path, read := g.field()
	op := pick(g, "=", "!=", "<", ">=", "contains", "null", "alone", "in")
	n, s, b := pick(g, 0.0, 1, 2.5, -3), pick(g, "", "A", "xA", "1"), pick(g, true, false)
	switch op {
	case "=", "!=":
		literal := pick[any](g, n, s, b)
		text := fmt.Sprint(literal)
		if _, ok := literal.(string); ok {
			text = strconv.Quote(s)
		}
		return path + pick(g, " ", "") + op + " " + text, func(e map[string]any) bool {
			same := read(e) == literal
			if op == "=" {
				return same
			}
			_, wantsNumber := literal.(float64)
			_, isNumber := read(e).(float64)
			return !same && (isNumber || !wantsNumber)
		}
	case "<", ">=":
		return fmt.Sprintf("%s%s%v", path, op, n), func(e map[string]any) bool {
			v, ok := read(e).(float64)
			return ok && (v < n) == (op == "<")
		}
	case "contains":
		not := pick(g, "", "!")
		return fmt.Sprintf("%scontains(%s, '%s')", not, path, s), func(e map[string]any) bool {
			v, ok := read(e).(string)
			return ok && strings.Contains(v, s) == (not == "")
		}
	case "null":
		not := pick(g, "", "!")
		return path + " " + not + "= null", func(e map[string]any) bool { return (read(e) == nil) == (not == "") }
	case "in":
		return fmt.Sprintf("%s in [%v, %q, null]", path, n, s), func(e map[string]any) bool {
			v := read(e)
			return v == n || v == s || v == nil
		}
	}
	return path, func(e map[string]any) bool { return read(e) == true }
}

// query returns a query of at most depth levels. An or has a lower precedence than and.
func (g generator) query(depth int) (text string, means meaning, isOr bool) {
	if depth == 0 {
		text, means = g.condition()
		return text, means, false
	}
	if g.IntN(4) == 0 {
		inner, means, _ := g.query(depth - 1)
		return "!(" + inner + ")", func(e map[string]any) bool { return !means(e) }, false
	}
	or := g.IntN(2) == 0
	parts, texts := make([]meaning, 1+g.IntN(3)), []string{}
	for i := range parts {
		inner, means, innerIsOr := g.query(depth - 1)
		if innerIsOr && !or || g.IntN(5) == 0 {
			inner = "( " + inner + ")"
		}
		texts, parts[i] = append(texts, inner), means
	}
	return strings.Join(texts, map[bool]string{true: " or ", false: " and\n"}[or]), func(e map[string]any) bool {
		for _, part := range parts {
			if part(e) == or {
				return or
			}
		}
		return !or
	}, or
}

func (g generator) event() map[string]any {
	e := map[string]any{}
	for _, top := range []string{"properties", "traits"} {
		inner := map[string]any{}
		for _, name := range []string{"a", "b", "c"} {
			if g.IntN(5) > 0 {
				inner[name] = pick[any](g, 0.0, 1.0, 2.5, -3.0, "", "A", "xA", "1", true, false, nil)
			}
		}
		e[top] = inner
	}
	return e
}

func TestRandomQueriesMatchTheirDescription(t *testing.T) {
	g := generator{rand.New(rand.NewPCG(5, 6))}
	for range 3000 {
		text, means, _ := g.query(g.IntN(4))
		q := compile(t, text)
		normal := compile(t, q.String())
		require.Equal(t, q.String(), normal.String())
		require.NotEmpty(t, q.Describe())
		for range 5 {
			plain := g.event()
			e, err := event.From(plain)
			require.NoError(t, err)
			want := means(plain)
			require.Equal(t, want, q.Match(e), "%s of %s", text, e.JSON())
			require.Equal(t, want, normal.Match(e), "%s of %s", q, e.JSON())
			for _, k := range q.IndexKeys() {
				require.True(t, !want || slices.Contains(k.Values, k.Path.Read(e).Str()), "%s asks for one of %q at %s", q, k.Values, k.Path)
			}
			require.Equal(t, want, q.Explain(e).Matched, "%s of %s", text, e.JSON())
		}
	}
}
