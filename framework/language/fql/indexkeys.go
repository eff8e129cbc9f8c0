package fql

import (
	"slices"

	"github.com/landfall-dev/landfall/framework/event"
)

// IndexKey is a field and its possible values in the events that match a query.
type IndexKey struct {
	Path   event.Path
	Values []string
}

// IndexKeys returns necessary conditions that can be looked up in an index. An event that does not have one of the values in each
// of these fields does not match the query. An event that has them may still not match. IndexKeys understands =, in, and, and or.
func (q *Query) IndexKeys() []IndexKey { return indexKeysOf(q.root) }

func indexKeysOf(c condition) []IndexKey {
	switch c := c.(type) {
	case comparison:
		return c.indexKeys()
	case group:
		if !c.or {
			var keys []IndexKey
			for _, part := range c.parts {
				keys = append(keys, indexKeysOf(part)...)
			}
			return keys
		}
		return c.commonKeys()
	}
	return nil
}

// commonKeys returns the fields that every part of an or restricts, with the values of all parts.
func (g group) commonKeys() []IndexKey {
	common := indexKeysOf(g.parts[0])
	for _, part := range g.parts[1:] {
		others := indexKeysOf(part)
		common = slices.DeleteFunc(common, func(k IndexKey) bool { return findKey(others, k.Path) == nil })
		for i := range common {
			common[i].Values = slices.Concat(common[i].Values, findKey(others, common[i].Path).Values)
		}
	}
	return common
}

func findKey(keys []IndexKey, path event.Path) *IndexKey {
	for i := range keys {
		if slices.Equal(keys[i].Path.Keys(), path.Keys()) {
			return &keys[i]
		}
	}
	return nil
}

func (c comparison) indexKeys() []IndexKey {
	left, right := c.left, c.right
	if _, ok := left.(*field); !ok && c.op == "=" {
		left, right = right, left
	}
	f, isField := left.(*field)
	l, isLiteral := right.(literal)
	switch {
	case !isField || !isLiteral:
	case c.op == "=" && l.IsString():
		return []IndexKey{{f.path, []string{l.Str()}}}
	case c.op == "in" && l.Kind() == event.Array:
		var values []string
		for _, item := range l.Items() {
			if !item.IsString() {
				return nil
			}
			values = append(values, item.Str())
		}
		return []IndexKey{{f.path, values}}
	}
	return nil
}
