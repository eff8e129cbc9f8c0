package liquid

import (
	"strings"
	"unicode/utf8"

	"github.com/landfall-dev/landfall/framework/event"
)

// listFilters work on lists; nothing is an empty list, and what is no list is one of itself.
func listFilters() map[string]filter {
	return map[string]filter{
		"first": func(v event.Value, _ args) (event.Value, error) { return edge(v, "first"), nil },
		"last":  func(v event.Value, _ args) (event.Value, error) { return edge(v, "last"), nil },
		"size":  size, "join": join, "split": splitText, "slice": slice, "compact": compact, "sum": sum, "where": where,
		"push":    func(v event.Value, a args) (event.Value, error) { return chained(items(v), []event.Value{a.at(0)}) },
		"unshift": func(v event.Value, a args) (event.Value, error) { return chained([]event.Value{a.at(0)}, items(v)) },
		"pop": func(v event.Value, _ args) (event.Value, error) {
			list := items(v)
			return event.NewArray(list[:max(len(list)-1, 0)]), nil
		},
		"shift": func(v event.Value, _ args) (event.Value, error) {
			list := items(v)
			return event.NewArray(list[min(1, len(list)):]), nil
		},
	}
}

// items are those of a list.
func items(v event.Value) []event.Value {
	switch {
	case !v.Exists():
		return nil
	case v.Kind() != event.Array:
		return []event.Value{v}
	}
	list := make([]event.Value, 0, v.Len())
	for _, item := range v.Items() {
		list = append(list, item)
	}
	return list
}

func chained(a, b []event.Value) (event.Value, error) {
	if len(a)+len(b) > MaxItems {
		return event.Value{}, errTooMany
	}
	return event.NewArray(append(a[:len(a):len(a)], b...)), nil
}

// edge is the first or last item of a list or character of a text; of anything else an empty text.
func edge(v event.Value, which string) event.Value {
	switch v.Kind() {
	case event.Array:
		return item(v, which)
	case event.String:
		s := v.Str()
		if _, n := utf8.DecodeRuneInString(s); which == "first" {
			return event.NewString(s[:n])
		}
		_, n := utf8.DecodeLastRuneInString(s)
		return event.NewString(s[len(s)-n:])
	}
	return event.NewString("")
}

func size(v event.Value, _ args) (event.Value, error) {
	n := 0
	switch v.Kind() {
	case event.Array:
		n = v.Len()
	case event.String:
		n = event.UTF16Len(v.Str())
	}
	return event.NewInt(int64(n)), nil
}

func join(v event.Value, a args) (event.Value, error) {
	glue := " "
	if a.at(0).Exists() {
		glue = text(a.at(0))
	}
	var b strings.Builder
	for i, item := range items(v) {
		if i > 0 {
			b.WriteString(glue)
		}
		b.WriteString(item.Text())
		if b.Len() > MaxText {
			return event.Value{}, errTooLong
		}
	}
	return event.NewString(b.String()), nil
}

// splitText cuts a text; empty parts at the end are left out.
func splitText(v event.Value, a args) (event.Value, error) {
	s, separator := text(v), a.text(0, "")
	if strings.Count(s, separator) > MaxItems {
		return event.Value{}, errTooMany
	}
	parts := strings.Split(s, separator)
	for len(parts) > 0 && parts[len(parts)-1] == "" {
		parts = parts[:len(parts)-1]
	}
	list := make([]event.Value, len(parts))
	for i, part := range parts {
		list[i] = event.NewString(part)
	}
	return event.NewArray(list), nil
}

// slice is a part of a list or text. A negative start counts from the end.
func slice(v event.Value, a args) (event.Value, error) {
	if !v.Exists() {
		return event.NewArray(nil), nil
	}
	if v.Kind() == event.Array {
		return event.NewArray(part(items(v), a)), nil
	}
	return event.NewString(string(part([]rune(text(v)), a))), nil
}

func part[T any](all []T, a args) []T {
	from, n := a.whole(0, 0), a.whole(1, 1)
	if from < 0 {
		from += len(all)
	}
	if from < 0 || n < 0 {
		return nil
	}
	from = min(from, len(all))
	return all[from:min(from+n, len(all))]
}

func compact(v event.Value, _ args) (event.Value, error) {
	var kept []event.Value
	for _, item := range items(v) {
		if item.Exists() {
			kept = append(kept, item)
		}
	}
	return event.NewArray(kept), nil
}

// sum adds the items that are numbers, or a property of each.
func sum(v event.Value, a args) (event.Value, error) {
	total, path := 0.0, event.NewPath(a.text(0, ""))
	for _, item := range items(v) {
		total += number(path.Read(item))
	}
	return numeric(total), nil
}

// where keeps the items whose property is the value given, or counts as true where none is given.
func where(v event.Value, a args) (event.Value, error) {
	var kept []event.Value
	path := event.NewPath(a.text(0, ""))
	for _, item := range items(v) {
		got := path.Read(item)
		if a.has(1) && equal(got, a.at(1)) || !a.has(1) && truthy(got) {
			kept = append(kept, item)
		}
	}
	return event.NewArray(kept), nil
}
