package liquid

import (
	"maps"
	"slices"
)

// uses is what a template reads and calls, as far as it is written out.
type uses struct {
	paths   [][]string
	filters map[string]bool // names that no filter has
	defined map[string]bool // variables that the template itself sets
}

// read notes a variable with the properties that follow it. A property that is computed ends the path.
func (u *uses) read(n node) {
	if path, ok := pathOf(n); ok {
		u.paths = append(u.paths, path)
	}
}

// pathOf returns the keys that lead to a node's value; ok is false if it does not begin with a variable.
func pathOf(n node) (path []string, ok bool) {
	switch n := n.(type) {
	case variable:
		return []string{n.name}, true
	case root:
		return nil, true
	case member:
		path, ok = pathOf(n.of)
		key, isLiteral := n.key.(literal)
		if !ok || !isLiteral || !key.v.IsString() {
			return path, ok
		}
		return append(slices.Clone(path), key.v.Str()), true
	}
	return nil, false
}

func (u *uses) unknownFilter(name string) {
	if u.filters == nil {
		u.filters = map[string]bool{}
	}
	u.filters[name] = true
}

func (u *uses) define(name string) {
	if u.defined == nil {
		u.defined = map[string]bool{}
	}
	u.defined[name] = true
}

// Paths returns the keys of everything that the template reads of its input, such as [settings region]. What the template sets
// itself is left out. An empty path is the whole input.
func (t *Template) Paths() [][]string {
	var list [][]string
	for _, path := range t.uses.paths {
		if len(path) == 0 || !t.uses.defined[path[0]] {
			list = append(list, path)
		}
	}
	slices.SortFunc(list, slices.Compare)
	return slices.CompactFunc(list, slices.Equal)
}

// UnknownFilters returns the filters of the template that do not exist, sorted. They change nothing when it is rendered.
func (t *Template) UnknownFilters() []string { return slices.Sorted(maps.Keys(t.uses.filters)) }

// FilterNames returns the names of all filters, sorted.
func FilterNames() []string { return slices.Sorted(maps.Keys(filters())) }
