package fql

import (
	"slices"

	"github.com/landfall-dev/landfall/framework/event"
)

// Key is a field of which an event must have one of these texts for a query to take it.
type Key struct {
	Path   event.Path
	Values []string
}

// Keys are what an event must have, where the query says that with =, in, and, or alone. An event without one of them need not be
// matched; one with all of them may still not match.
func (q *Query) Keys() []Key { return keysOf(q.root) }

func keysOf(c condition) []Key {
	switch c := c.(type) {
	case comparison:
		return c.keys()
	case group:
		if !c.or {
			var keys []Key
			for _, part := range c.parts {
				keys = append(keys, keysOf(part)...)
			}
			return keys
		}
		return c.commonKeys()
	}
	return nil
}

// commonKeys are the fields that every part of an or asks for, with the texts of all.
func (g group) commonKeys() []Key {
	common := keysOf(g.parts[0])
	for _, part := range g.parts[1:] {
		others := keysOf(part)
		common = slices.DeleteFunc(common, func(k Key) bool { return find(others, k.Path) == nil })
		for i := range common {
			common[i].Values = slices.Concat(common[i].Values, find(others, common[i].Path).Values)
		}
	}
	return common
}

func find(keys []Key, path event.Path) *Key {
	for i := range keys {
		if slices.Equal(keys[i].Path.Keys(), path.Keys()) {
			return &keys[i]
		}
	}
	return nil
}

func (c comparison) keys() []Key {
	left, right := c.left, c.right
	if _, ok := left.(*field); !ok && c.op == "=" {
		left, right = right, left
	}
	f, isField := left.(*field)
	l, isLiteral := right.(literal)
	switch {
	case !isField || !isLiteral:
	case c.op == "=" && l.IsString():
		return []Key{{f.path, []string{l.Str()}}}
	case c.op == "in" && l.Kind() == event.Array:
		var values []string
		for _, item := range l.Items() {
			if !item.IsString() {
				return nil
			}
			values = append(values, item.Str())
		}
		return []Key{{f.path, values}}
	}
	return nil
}
