package event_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/landfall-dev/landfall/framework/event"
)

func TestQuotedKeysMayContainDotsAndBrackets(t *testing.T) {
	v := event.MustParse(`{"a":{"x.y":1,"x":{"y":2},"q[0]":3,"it's":4,"list":[{"b.c":5}]},"$.e":6}`)
	for path, want := range map[string]string{
		`$.a['x.y']`: `1`, `a["x.y"]`: `1`, `a.x.y`: `2`, `a['x']['y']`: `2`, `a['x'].y`: `2`, `a['q[0]']`: `3`, `a["it's"]`: `4`,
		`a.list[0]['b.c']`: `5`, `a['list'][0]["b.c"]`: `5`, `['$.e']`: `6`, `a['']['x.y']`: `1`, `a['nope.x']`: ``, `a['x.y`: ``,
	} {
		assert.Equal(t, want, event.NewPath(path).Read(v).JSON(), path)
	}
}
