package liquid

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/landfall-dev/landfall/framework/event"
)

// number is a number that prints as JavaScript prints it.
type number float64

func (n number) String() string { return event.FormatFloat(float64(n)) }

// object is an object that prints as JSON.
type object map[string]any

func (o object) String() string { return toJSON(o) }

// bind is a value as the library takes it. Whole numbers keep their digits as far as an int64 goes.
func bind(v event.Value) any {
	switch v.Kind() {
	case event.True, event.False:
		return v.Kind() == event.True
	case event.Number:
		if n, err := strconv.ParseInt(v.Digits(), 10, 64); err == nil {
			return n
		}
		return number(v.Float())
	case event.String:
		return v.Str()
	case event.Array:
		list := make([]any, 0, v.Len())
		for _, item := range v.Items() {
			list = append(list, bind(item))
		}
		return list
	case event.Object:
		o := object{}
		for key, m := range v.Members() {
			o[key] = bind(m)
		}
		return o
	}
	return nil
}

// text is a value as it prints.
func text(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	case float64:
		return event.FormatFloat(v)
	case []any:
		var b strings.Builder
		for _, item := range v {
			b.WriteString(text(item))
		}
		return b.String()
	}
	return fmt.Sprint(v)
}

// num is a value as a number, as JavaScript's Number takes it; NaN where it is none.
func num(v any) float64 {
	switch v := v.(type) {
	case nil:
		return 0
	case bool:
		if v {
			return 1
		}
		return 0
	case int:
		return float64(v)
	case int64:
		return float64(v)
	case float64:
		return v
	case number:
		return float64(v)
	case string:
		s := strings.TrimSpace(v)
		if s == "" {
			return 0
		}
		if strings.ContainsAny(s, "_iInNpP") {
			return math.NaN()
		}
		if f, err := strconv.ParseFloat(s, 64); err == nil {
			return f
		}
	}
	return math.NaN()
}

// exact is a float as the whole number it is, or as one that prints as JavaScript prints it.
func exact(f float64) any {
	if f == math.Trunc(f) && math.Abs(f) < 1<<53 {
		return int64(f)
	}
	return number(f)
}

// list is a value as a list: nothing is an empty one, anything else a list of itself.
func list(v any) []any {
	switch v := v.(type) {
	case nil:
		return nil
	case []any:
		return v
	case []string:
		items := make([]any, len(v))
		for i, s := range v {
			items[i] = s
		}
		return items
	}
	return []any{v}
}

func toJSON(v any) string {
	raw, err := json.Marshal(plain(v))
	if err != nil {
		return ""
	}
	return string(raw)
}

// plain is a value as encoding/json takes it.
func plain(v any) any {
	switch v := v.(type) {
	case number:
		return json.Number(v.String())
	case object:
		m := make(map[string]any, len(v))
		for key, inner := range v {
			m[key] = plain(inner)
		}
		return m
	case []any:
		items := make([]any, len(v))
		for i, inner := range v {
			items[i] = plain(inner)
		}
		return items
	}
	return v
}
