package request

import (
	"maps"
	"slices"
	"strings"

	"github.com/landfall-dev/landfall/framework/language/mapping"
)

// Names are the names that a request may use: the members of its scope with the keys that each has; nil allows any key. The keys of an
// object below a member are at its path, such as payload.address, and those of the items of a list at a path that ends with [], such
// as payload.products[]. Paths that are not there allow any key.
type Names map[string][]string

// members returns the members of the scope.
func (n Names) members() (list []string) {
	for name := range n {
		if !strings.ContainsAny(name, ".[") {
			list = append(list, name)
		}
	}
	slices.Sort(list)
	return list
}

// Only returns the names of some members.
func (n Names) Only(members ...string) Names {
	chosen := Names{}
	for name, keys := range n {
		if member, _, _ := strings.Cut(name, "."); slices.Contains(members, member) {
			chosen[name] = keys
		}
	}
	return chosen
}

// addItems says that list is a list of what is at another path.
func (n Names) addItems(list, of string) {
	for name, keys := range maps.Clone(n) {
		if rest, ok := strings.CutPrefix(name, of); ok && (rest == "" || rest[0] == '.') {
			n[list+"[]"+rest] = keys
		}
	}
}

// below returns the names that mappings of the items at a path may use, as their own scope. ok is false if they are not known.
func (n Names) below(path []string) (inner Names, ok bool) {
	at := strings.Join(path, ".")
	if _, isList := n[at+"[]"]; isList {
		at += "[]"
	}
	if n[at] == nil {
		return nil, false
	}
	inner = Names{}
	for _, key := range n[at] {
		inner[key] = nil
		for name, keys := range n {
			if rest, ok := strings.CutPrefix(name, at+"."+key); ok && (rest == "" || strings.ContainsAny(rest[:1], ".[")) {
				inner[key+rest] = keys
			}
		}
	}
	return inner, true
}

// unknownKey returns the first key of a path that does not exist, with the path before it and the keys that exist there.
func (n Names) unknownKey(path []string) (before, key string, known []string, found bool) {
	at := path[0]
	for i, key := range path[1:] {
		if _, isList := n[at+"[]"]; isList && (isDigits(key) || key == mapping.AnyItem) {
			at += "[]"
			continue
		}
		if known := n[at]; known != nil && !slices.Contains(known, key) {
			return strings.ReplaceAll(strings.Join(path[:i+1], "."), "."+mapping.AnyItem, "[]"), key, known, true
		}
		at += "." + key
	}
	return "", "", nil, false
}

func isDigits(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }
