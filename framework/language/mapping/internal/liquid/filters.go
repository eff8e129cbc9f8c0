package liquid

import (
	"errors"
	"maps"

	"github.com/landfall-dev/landfall/framework/event"
)

// filter makes a value of another one.
type filter func(v event.Value, a args) (event.Value, error)

// args are what stands after the name of a filter.
type args struct {
	list       []event.Value
	allowFalse bool // of default
}

// at is an argument, absent where it is left out.
func (a args) at(i int) event.Value {
	if i < len(a.list) {
		return a.list[i]
	}
	return event.Value{}
}

func (a args) has(i int) bool { return a.at(i).Kind() != event.Absent }

func (a args) text(i int, fallback string) string {
	if a.has(i) {
		return text(a.at(i))
	}
	return fallback
}

func (a args) number(i int, fallback float64) float64 {
	if a.has(i) {
		return number(a.at(i))
	}
	return fallback
}

// whole is an argument as a whole number that fits an int on any machine.
func (a args) whole(i, fallback int) int {
	return int(min(max(a.number(i, float64(fallback)), -MaxWork), MaxWork))
}

// disabledFilters are those that Segment refuses, and sample, whose result is a matter of chance.
var disabledFilters = []string{
	"array_to_sentence_string", "concat", "find", "find_exp", "find_index", "find_index_exp", "group_by", "group_by_exp", "has",
	"has_exp", "map", "newline_to_br", "reject", "reject_exp", "reverse", "sort", "sort_natural", "uniq", "where_exp", "type",
	"sample",
}

// filters are all there are. A name that is not among them means nothing: the value passes through.
func filters() map[string]filter {
	all := map[string]filter{"default": fallback}
	for _, some := range []map[string]filter{numberFilters(), textFilters(), codeFilters(), listFilters(), dateFilters()} {
		maps.Copy(all, some)
	}
	return all
}

// fallback is the argument where a value is nothing, false or empty.
func fallback(v event.Value, a args) (event.Value, error) {
	switch {
	case v.Kind() == event.False && a.allowFalse:
		return v, nil
	case !truthy(v), v.IsString() && v.Str() == "", v.Kind() == event.Array && v.Len() == 0:
		return a.at(0), nil
	}
	return v, nil
}

// needed is a filter that is an error without an argument.
func needed(apply filter) filter {
	return func(v event.Value, a args) (event.Value, error) {
		if len(a.list) == 0 {
			return event.Value{}, errors.New("needs an argument")
		}
		return apply(v, a)
	}
}

// ofText is a filter that changes a text.
func ofText(change func(s string) string) filter {
	return func(v event.Value, _ args) (event.Value, error) { return event.NewString(change(text(v))), nil }
}

// ofTextArgs is a filter that changes a text by its arguments.
func ofTextArgs(change func(s string, a args) (string, error)) filter {
	return func(v event.Value, a args) (event.Value, error) {
		s, err := change(text(v), a)
		return event.NewString(s), err
	}
}
