package liquid

import (
	"errors"
	"math"
	"slices"
	"sync"

	"github.com/landfall-dev/landfall/framework/event"
)

// filter computes a value from another one.
type filter func(v event.Value, a args) (event.Value, error)

// args are the arguments of a filter.
type args struct {
	list       []event.Value
	allowFalse bool // argument of the default filter
}

// at returns an argument, or the absent Value if it is missing.
func (a args) at(i int) event.Value {
	if i < len(a.list) {
		return a.list[i]
	}
	return event.Value{}
}

func (a args) hasArg(i int) bool { return a.at(i).Kind() != event.Absent }

func (a args) textArg(i int, fallback string) string {
	if a.hasArg(i) {
		return printText(a.at(i))
	}
	return fallback
}

func (a args) numberArg(i int, fallback float64) float64 {
	if a.hasArg(i) {
		return toNumber(a.at(i))
	}
	return fallback
}

// isSet reports whether an argument is truthy in JavaScript.
func (a args) isSet(i int) bool {
	v := a.at(i)
	return isTruthy(v) && !(v.IsString() && v.Str() == "") && !(v.Kind() == event.Number && v.Float() == 0)
}

// intArg returns an argument as an integer, clamped so that it fits an int on any machine. A fraction is cut off.
func (a args) intArg(i, fallback int) int { return clampInt(a.numberArg(i, float64(fallback))) }

// countArg returns an argument as a number of characters. A fraction counts as a character.
func (a args) countArg(i, fallback int) int {
	return clampInt(math.Ceil(a.numberArg(i, float64(fallback))))
}

func clampInt(f float64) int { return int(min(max(f, -MaxWork), MaxWork)) }

// disabledFilters are the filters that Segment does not allow, and sample, whose result is random.
var disabledFilters = []string{
	"array_to_sentence_string", "concat", "find", "find_exp", "find_index", "find_index_exp", "group_by", "group_by_exp", "has",
	"has_exp", "map", "newline_to_br", "reject", "reject_exp", "reverse", "sort", "sort_natural", "uniq", "where_exp", "type",
	"sample",
}

// filterEntry is an entry of the table of filters.
type filterEntry struct {
	name    string
	args    string // the arguments, separated by commas; those in brackets are optional
	summary string // the result
	example string // a use of the filter
	apply   filter
}

// filterTable lists all filters. An unknown filter returns its input unchanged.
func filterTable() []filterEntry {
	return slices.Concat(
		[]filterEntry{{"default", "value, [allow_false: true]", "the argument if the value is absent, null, false or empty", `nope | default: "none"`, defaultFilter}},
		textFilters(), encodingFilters(), numberFilters(), listFilters(), dateFilters(),
	)
}

// filters returns the table of filters by name.
var filters = sync.OnceValue(func() map[string]filter {
	byName := map[string]filter{}
	for _, f := range filterTable() {
		byName[f.name] = f.apply
	}
	return byName
})

// defaultFilter returns its argument if the value is absent, null, false or empty.
func defaultFilter(v event.Value, a args) (event.Value, error) {
	switch {
	case v.Kind() == event.False && a.allowFalse:
		return v, nil
	case !isTruthy(v), v.IsString() && v.Str() == "", v.Kind() == event.Array && v.Len() == 0:
		return a.at(0), nil
	}
	return v, nil
}

// requireArg returns a filter that fails without an argument.
func requireArg(apply filter) filter {
	return func(v event.Value, a args) (event.Value, error) {
		if len(a.list) == 0 {
			return event.Value{}, errors.New("needs an argument")
		}
		return apply(v, a)
	}
}

// textFilter returns a filter that changes a text.
func textFilter(change func(s string) string) filter {
	return func(v event.Value, _ args) (event.Value, error) { return event.NewString(change(printText(v))), nil }
}

// textArgsFilter returns a filter that changes a text depending on its arguments.
func textArgsFilter(change func(s string, a args) (string, error)) filter {
	return func(v event.Value, a args) (event.Value, error) {
		s, err := change(printText(v), a)
		return event.NewString(s), err
	}
}
