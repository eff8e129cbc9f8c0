package liquid

import (
	"maps"
	"slices"
	"strings"

	"github.com/landfall-dev/landfall/framework/event"
)

// uses records what a template reads and calls, as far as it is constant.
type uses struct {
	paths   [][]string
	items   [][]string      // paths below items of lists
	filters map[string]bool // names of filters
	defined map[string]bool // variables that the template assigns
}

// addPath records a variable and the properties that follow it. A computed property ends the path.
func (u *uses) addPath(n node) {
	if path, ok := pathOf(n); ok {
		u.paths = append(u.paths, path)
		if whole := itemPathOf(n); len(whole) > len(path) {
			u.items = append(u.items, whole)
		}
	}
}

// itemPathOf is pathOf with the positions in lists, up to a key that is neither a constant text nor a constant number.
func itemPathOf(n node) []string {
	m, ok := n.(member)
	if !ok {
		path, _ := pathOf(n)
		return path
	}
	path := itemPathOf(m.of)
	before, _ := pathOf(m.of)
	key, isLiteral := m.key.(literal)
	switch {
	case !isLiteral || path == nil || len(path) < len(before):
		return nil
	case key.v.IsString():
		return append(slices.Clone(path), key.v.Str())
	case key.v.Kind() == event.Number:
		return append(slices.Clone(path), strings.TrimPrefix(key.v.Text(), "-"))
	}
	return nil
}

// pathOf returns the keys that lead to a node's value. ok is false if it does not begin with a variable.
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

func (u *uses) addFilter(name string) {
	if u.filters == nil {
		u.filters = map[string]bool{}
	}
	u.filters[name] = true
}

func (u *uses) addVariable(name string) {
	if u.defined == nil {
		u.defined = map[string]bool{}
	}
	u.defined[name] = true
}

// Paths returns the paths that the template reads from its input, such as [settings region]. It omits variables that the template
// assigns. An empty path means the whole input.
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

// IndirectPaths returns the paths that the template reads from items of lists, such as [payload items 0 sku]. They are below those of Paths.
func (t *Template) IndirectPaths() [][]string {
	return slices.DeleteFunc(slices.Clone(t.uses.items), func(path []string) bool { return t.uses.defined[path[0]] })
}

// IsConstant reports whether the template gives the same text for every input, at any time. A filter of dates may read the clock: "now" and
// "today" are dates.
func (t *Template) IsConstant() bool {
	readsDates := slices.ContainsFunc(dateFilters(), func(f filterEntry) bool { return t.uses.filters[f.name] })
	return len(t.uses.paths) == 0 && len(t.uses.defined) == 0 && !readsDates
}

// UnknownFilters returns the names of unknown filters, sorted. They have no effect when the template is rendered.
func (t *Template) UnknownFilters() []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(t.uses.filters)), func(name string) bool { return filters()[name] != nil })
}

// FilterNames returns the names of all filters, sorted.
func FilterNames() []string { return slices.Sorted(maps.Keys(filters())) }
