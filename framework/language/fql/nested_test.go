package fql

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestErrorsInNestedConditions(t *testing.T) {
	for _, inner := range []string{
		`type = `, `type = "track`, `type = "track" or`, `= "track"`, `unknown(event)`, `contains(event)`, `type = [1,`, `type = 1e999`, `type == 1`, ``,
	} {
		for _, around := range []string{`%`, `(%)`, `!(%)`, `!!(%)`, `!(!(%))`, `((%))`, `type = "a" and !(%)`, `!(%) or type = "a"`} {
			query := strings.ReplaceAll(around, "%", inner)
			_, err := Compile(query)
			assert.Error(t, err, query)
		}
	}
	for _, query := range []string{`!(type = "track"`, `(type = "track"`, `!(type = "track"]`, `!(type = "track"))`} {
		_, err := Compile(query)
		assert.Error(t, err, query)
	}
}

func TestOnlyNestingAddsDepth(t *testing.T) {
	const siblings = 3 * MaxDepth
	for _, part := range []string{`(type = "a")`, `!(type = "a")`, `!type`, `!contains(event, "a")`, `contains(lowercase(event), "a")`, `!(!(type = "a"))`} {
		for _, between := range []string{" and ", " or "} {
			_, err := Compile(strings.Repeat(part+between, siblings-1) + part)
			assert.NoError(t, err, part+between)
		}
	}
	deep := func(n int, open, closing string) error {
		_, err := Compile(strings.Repeat(open, n) + `type = "a"` + strings.Repeat(closing, n))
		return err
	}
	for open, closing := range map[string]string{"(": ")", "!(": ")"} {
		assert.NoError(t, deep(MaxDepth, open, closing), open)
		assert.ErrorContains(t, deep(MaxDepth+1, open, closing), "nested deeper than 200", open)
	}
}
