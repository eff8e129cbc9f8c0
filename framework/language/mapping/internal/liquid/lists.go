package liquid

import (
	"math"
	"strings"
	"unicode/utf8"

	"github.com/landfall-dev/landfall/framework/event"
)

// listFilters returns the filters of lists. They treat an absent value as an empty list, and a single value as a list of one item.
func listFilters() []filterEntry {
	return []filterEntry{
		{"compact", "", "the list without null", `"a,b" | split: "," | compact | size`, compactFilter},
		{"first", "", "the first item or character", `"ab" | first`, func(v event.Value, _ args) (event.Value, error) { return firstOrLast(v, "first"), nil }},
		{"join", "[separator]", "the items as one text, by default with spaces between them", `(1..3) | join: "+"`, joinFilter},
		{"last", "", "the last item or character", `"ab" | last`, func(v event.Value, _ args) (event.Value, error) { return firstOrLast(v, "last"), nil }},
		{"pop", "", "the list without its last item", `(1..3) | pop | join`, popFilter},
		{"push", "item", "the list with an item at its end", `(1..2) | push: 9 | join`, pushFilter},
		{"shift", "", "the list without its first item", `(1..3) | shift | join`, shiftFilter},
		{"size", "", "the number of items, or of characters", `"abc" | size`, sizeFilter},
		{"slice", "start, [length]", "a part of a list or text; a negative start counts from the end", `"abcd" | slice: -3, 2`, sliceFilter},
		{"split", "separator", "a list of the parts of a text", `"ana@example.com" | split: "@" | first`, splitText},
		{"sum", "[property]", "the sum of the items, or of a property of each", `(1..4) | sum`, sumFilter},
		{"unshift", "item", "the list with an item at its start", `(1..2) | unshift: 9 | join`, unshiftFilter},
		{"where", "property, [value]", "the items whose property is the value, or is true without one", `products | where: "sku", "p2" | size`, whereFilter},
	}
}

func pushFilter(v event.Value, a args) (event.Value, error) {
	return joinLists(listItems(v), []event.Value{a.at(0)})
}

func unshiftFilter(v event.Value, a args) (event.Value, error) {
	return joinLists([]event.Value{a.at(0)}, listItems(v))
}

func popFilter(v event.Value, _ args) (event.Value, error) {
	list := listItems(v)
	return event.NewArray(list[:max(len(list)-1, 0)]), nil
}

func shiftFilter(v event.Value, _ args) (event.Value, error) {
	list := listItems(v)
	return event.NewArray(list[min(1, len(list)):]), nil
}

// listItems returns the items of a list.
func listItems(v event.Value) []event.Value {
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

func joinLists(a, b []event.Value) (event.Value, error) {
	if len(a)+len(b) > MaxItems {
		return event.Value{}, errTooMany
	}
	return event.NewArray(append(a[:len(a):len(a)], b...)), nil
}

// firstOrLast returns the first or last item of a list or character of a text, or an empty text for any other value.
func firstOrLast(v event.Value, which string) event.Value {
	switch v.Kind() {
	case event.Array:
		return itemProperty(v, which)
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

func sizeFilter(v event.Value, _ args) (event.Value, error) {
	n := 0
	switch v.Kind() {
	case event.Array:
		n = v.Len()
	case event.String:
		n = event.UTF16Len(v.Str())
	}
	return event.NewInt(int64(n)), nil
}

func joinFilter(v event.Value, a args) (event.Value, error) {
	glue := " "
	if a.at(0).Exists() {
		glue = printText(a.at(0))
	}
	var b strings.Builder
	for i, item := range listItems(v) {
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

// splitText splits a text. Empty parts at the end are dropped.
func splitText(v event.Value, a args) (event.Value, error) {
	s, separator := printText(v), a.textArg(0, "")
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

// sliceFilter returns a part of a list or text. A negative start counts from the end.
func sliceFilter(v event.Value, a args) (event.Value, error) {
	if !v.Exists() {
		return event.NewArray(nil), nil
	}
	if v.Kind() != event.Array {
		return event.NewString(string(slicePart([]rune(printText(v)), a.countArg(0, 0), a.countArg(1, 1)))), nil
	}
	if math.IsNaN(jsNumber(a.at(0))) {
		return event.NewArray(nil), nil // as in liquidjs, where a text starts at 0
	}
	from := a.numberArg(0, 0)
	return event.NewArray(slicePart(listItems(v), clampInt(from), clampInt(from+a.numberArg(1, 1))-clampInt(from))), nil
}

func slicePart[T any](all []T, from, n int) []T {
	if from < 0 {
		from += len(all)
	}
	if from < 0 || n < 0 {
		return nil
	}
	from = min(from, len(all))
	return all[from:min(from+n, len(all))]
}

func compactFilter(v event.Value, _ args) (event.Value, error) {
	var kept []event.Value
	for _, item := range listItems(v) {
		if item.Exists() {
			kept = append(kept, item)
		}
	}
	return event.NewArray(kept), nil
}

// sumFilter adds up the items, or a property of each item. Values that are not numbers count as 0.
func sumFilter(v event.Value, a args) (event.Value, error) {
	total, path := 0.0, event.NewPath(a.textArg(0, ""))
	for _, item := range listItems(v) {
		if a.isSet(0) {
			item = path.Read(item)
		}
		total += toNumber(item)
	}
	return numberValue(total), nil
}

// whereFilter keeps the items whose property equals the second argument or, without one, is truthy.
func whereFilter(v event.Value, a args) (event.Value, error) {
	var kept []event.Value
	path := event.NewPath(a.textArg(0, ""))
	for _, item := range listItems(v) {
		got := path.Read(item)
		if a.hasArg(1) && equalValues(got, a.at(1)) || !a.hasArg(1) && isTruthy(got) {
			kept = append(kept, item)
		}
	}
	return event.NewArray(kept), nil
}
