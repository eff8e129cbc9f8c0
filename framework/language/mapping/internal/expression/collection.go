package expression

import (
	"errors"
	"fmt"
	"reflect"
	"strconv"

	"github.com/landfall-dev/landfall/framework/event"
)

var errNoJSON = errors.New("produces a value that has no JSON form")

// collectionValue converts a list or map of any Go type, for example the results of groupBy and fromPairs.
func collectionValue(x any, depth int) (event.Value, error) {
	v := reflect.ValueOf(x)
	switch v.Kind() {
	case reflect.Slice, reflect.Array:
		items := make([]any, v.Len())
		for i := range items {
			items[i] = v.Index(i).Interface()
		}
		return toArray(items, depth)
	case reflect.Map:
		members := make(map[string]any, v.Len())
		for _, key := range v.MapKeys() {
			name, err := keyText(key.Interface())
			if err != nil {
				return event.Value{}, err
			}
			if _, twice := members[name]; twice {
				return event.Value{}, errors.New("produces an object with a duplicate key")
			}
			members[name] = v.MapIndex(key).Interface()
		}
		return toObject(members, depth)
	}
	out, err := event.From(x)
	if err != nil {
		return event.Value{}, errNoJSON
	}
	return out, nil
}

// keyText returns the key of a map as the key of an object. Numbers and booleans are printed.
func keyText(key any) (string, error) {
	switch key := key.(type) {
	case string:
		return key, nil
	case nil:
		return "null", nil
	case int:
		return strconv.Itoa(key), nil
	case float64:
		return event.FormatFloat(key), nil
	case bool:
		return strconv.FormatBool(key), nil
	case wholeNumber:
		return string(key), nil
	}
	return "", fmt.Errorf("produces an object with a key that is not text but %s", typeInWords(fmt.Sprintf("%T", key)))
}
