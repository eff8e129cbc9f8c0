package harness

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
)

// difference is a place at which a result differs from its expectation.
type difference struct {
	place string // a JSON pointer; "" is the whole value
	text  string
}

// diffValues returns the places at which two values differ. Numbers are compared by value. The order of an object's members does
// not matter.
func diffValues(place string, want, got event.Value) []difference {
	if event.Equal(want, got) {
		return nil
	}
	var differences []difference
	switch {
	case want.Kind() == event.Object && got.Kind() == event.Object:
		for key, w := range want.Members() {
			differences = append(differences, diffValues(place+fault.PointerKey(key), w, got.Get(key))...)
		}
		for key, g := range got.Members() {
			if want.Get(key).Kind() == event.Absent {
				differences = append(differences, diffValues(place+fault.PointerKey(key), event.Value{}, g)...)
			}
		}
	case want.Kind() == event.Array && got.Kind() == event.Array:
		for i := range max(want.Len(), got.Len()) {
			differences = append(differences, diffValues(fmt.Sprintf("%s/%d", place, i), want.Index(i), got.Index(i))...)
		}
	case sameForms(want, got):
	default:
		text := fmt.Sprintf("%s: want %s, got %s", orRoot(place), formatValue(want), formatValue(got))
		differences = append(differences, difference{place, text})
	}
	return differences
}

// linesOf returns the texts of differences.
func linesOf(differences []difference) []string {
	lines := make([]string, len(differences))
	for i, d := range differences {
		lines[i] = d.text
	}
	return lines
}

// sameForms reports whether two texts are forms with equal fields. The order of members in JSON within a field does not matter.
func sameForms(want, got event.Value) bool {
	if !strings.Contains(want.Str(), "%7B") || !strings.Contains(got.Str(), "%7B") {
		return false
	}
	wanted, err := url.ParseQuery(want.Str())
	if err != nil {
		return false
	}
	given, err := url.ParseQuery(got.Str())
	return err == nil && maps.EqualFunc(wanted, given, func(a, b []string) bool { return slices.EqualFunc(a, b, sameField) })
}

// sameField reports whether two fields of forms are equal texts or equal JSON.
func sameField(want, got string) bool {
	if want == got {
		return true
	}
	w, err := event.ParseString(want)
	if err != nil {
		return false
	}
	g, err := event.ParseString(got)
	return err == nil && event.Equal(w, g)
}

func orRoot(place string) string {
	if place == "" {
		return "(whole)"
	}
	return place
}

// formatValue formats a value on one line of limited length.
func formatValue(v event.Value) string {
	const most = 200
	text := v.JSON()
	switch {
	case v.Kind() == event.Absent:
		return "nothing"
	}
	return fault.Shorten(text, most)
}

// sortStrings returns a list of strings in order.
func sortStrings(v event.Value) event.Value {
	var items []event.Value
	for _, item := range v.Items() {
		items = append(items, item)
	}
	slices.SortFunc(items, func(a, b event.Value) int { return strings.Compare(a.Str(), b.Str()) })
	return event.NewArray(items)
}
