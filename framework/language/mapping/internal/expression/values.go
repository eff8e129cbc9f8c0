package expression

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/landfall-dev/landfall/framework/event"
)

// wholeNumber holds the digits of an integer that does not fit an int. It can be passed through and compared for equality.
// Arithmetic with it is an error; it is never rounded.
type wholeNumber string

func isWhole(digits string) bool { return !strings.ContainsAny(digits, ".eE") }

// toNative converts a value for the virtual machine. Integers that fit become ints.
func toNative(v event.Value) any {
	switch v.Kind() {
	case event.True, event.False:
		return v.Kind() == event.True
	case event.Number:
		if n, err := strconv.Atoi(v.Digits()); err == nil {
			return n
		}
		if isWhole(v.Digits()) {
			return wholeNumber(v.Digits())
		}
		return v.Float()
	case event.String:
		return v.Str()
	case event.Array:
		list := make([]any, 0, v.Len())
		for _, item := range v.Items() {
			list = append(list, toNative(item))
		}
		return list
	case event.Object:
		object := make(map[string]any)
		for key, m := range v.Members() {
			object[key] = toNative(m)
		}
		return object
	}
	return nil
}

// toValue converts a result of the virtual machine to a value. nil inside of lists and maps becomes null.
func toValue(x any, depth int) (event.Value, error) {
	if depth > event.MaxDepth {
		return event.Value{}, fmt.Errorf("produces a value nested deeper than %d", event.MaxDepth)
	}
	switch x := x.(type) {
	case nil:
		if depth == 0 {
			return event.Value{}, nil
		}
		return event.NewNull(), nil
	case string:
		if !utf8.ValidString(x) {
			return event.Value{}, errors.New("produces a text that is not UTF-8")
		}
		return event.NewString(x), nil
	case float64:
		if math.IsNaN(x) || math.IsInf(x, 0) {
			return event.Value{}, fmt.Errorf("produces %v, which is not a number in JSON", x)
		}
		return event.NewFloat(x), nil
	case time.Time:
		return event.NewString(x.Format(time.RFC3339Nano)), nil
	case time.Duration:
		return event.NewString(x.String()), nil
	case []any:
		return toArray(x, depth)
	case map[string]any:
		return toObject(x, depth)
	case wholeNumber:
		return event.ParseString(string(x))
	case event.Value:
		return x, nil
	case bool, int, int64:
		return event.From(x)
	case *budget:
		return event.Value{}, errors.New("produces a value that has no JSON form")
	}
	return collectionValue(x, depth)
}

func toArray(list []any, depth int) (event.Value, error) {
	items := make([]event.Value, len(list))
	for i, inner := range list {
		item, err := toValue(inner, depth+1)
		if err != nil {
			return event.Value{}, err
		}
		items[i] = item
	}
	return event.NewArray(items), nil
}

func toObject(m map[string]any, depth int) (event.Value, error) {
	keys := make([]string, 0, len(m))
	for key := range m {
		if key != budgetName {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	values := make([]event.Value, len(keys))
	for i, key := range keys {
		var err error
		if values[i], err = toValue(m[key], depth+1); err != nil {
			return event.Value{}, err
		}
	}
	return event.NewSlots(event.NewShape(keys), values), nil
}
