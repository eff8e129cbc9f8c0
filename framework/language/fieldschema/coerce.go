package fieldschema

import (
	"math"
	"strconv"
	"strings"

	"github.com/landfall-dev/landfall/framework/event"
)

// Coerce converts the values of a cleaned payload to the types of their fields. It leaves values that cannot be converted for
// Validate to reject. If nothing changes, it returns the payload itself.
func (s *Schema) Coerce(payload event.Value) event.Value { return coerceObject(s.fields, payload) }

func coerceObject(fields Fields, v event.Value) event.Value {
	return mapMembers(v, func(key string, m event.Value) event.Value {
		f := fields.Get(key)
		if f == nil {
			return m
		}
		return f.coerceValue(m)
	})
}

func (f *Field) coerceValue(v event.Value) event.Value {
	if !f.Multiple || v.Kind() != event.Array {
		return f.coerceOne(v)
	}
	items, same := make([]event.Value, 0, v.Len()), true
	for _, item := range v.Items() {
		now := f.coerceOne(item)
		same = same && item == now
		items = append(items, now)
	}
	if same {
		return v
	}
	return event.NewArray(items)
}

// coerceOne coerces a value or an item of a list. The item may itself be a list of one element.
func (f *Field) coerceOne(v event.Value) event.Value {
	if f.Type == Object {
		if f.hasProperties() {
			return coerceObject(f.Properties, v)
		}
		return v
	}
	from := v
	if f.Multiple && v.Kind() == event.Array && v.Len() == 1 {
		from = v.Index(0)
	}
	if to := f.entry().coerce(from); to.Kind() != event.Absent {
		return to
	}
	return v
}

func coerceText(v event.Value) event.Value {
	switch v.Kind() {
	case event.String:
		return v
	case event.Number, event.True, event.False:
		return event.NewString(v.Text())
	}
	return event.Value{}
}

// coerceTime accepts texts and numbers without converting them.
func coerceTime(v event.Value) event.Value {
	if v.IsString() || v.Kind() == event.Number {
		return v
	}
	return event.Value{}
}

func coerceNumber(v event.Value) event.Value {
	switch v.Kind() {
	case event.True:
		return event.NewInt(1)
	case event.False:
		return event.NewInt(0)
	case event.String:
		v = parseNumber(v.Str())
	}
	if v.Kind() != event.Number {
		return event.Value{}
	}
	return v
}

func coerceInteger(v event.Value) event.Value {
	if v = coerceNumber(v); v.Kind() == event.Number && !isWhole(v) {
		return event.Value{}
	}
	return v
}

func isWhole(v event.Value) bool {
	if !strings.ContainsAny(v.Digits(), ".eE") {
		return true
	}
	f := v.Float()
	return f == math.Trunc(f) && !math.IsInf(f, 0)
}

// parseNumber converts a text like JavaScript's Number: it accepts surrounding white space, 0x, 0o, 0b and exponents, and white
// space alone is 0. It returns the absent Value for any other text. Integers keep their digits.
func parseNumber(s string) event.Value {
	if s == "" || strings.ContainsRune(s, '_') {
		return event.Value{}
	}
	s = strings.TrimSpace(s)
	if s == "" {
		return event.NewInt(0)
	}
	if v, err := event.ParseString(s); err == nil && v.Kind() == event.Number && !math.IsInf(v.Float(), 0) {
		return v
	}
	if len(s) > 2 && s[0] == '0' && strings.ContainsRune("xXoObB", rune(s[1])) {
		if n, err := strconv.ParseUint(s, 0, 63); err == nil {
			return event.NewInt(int64(n))
		}
		return event.Value{}
	}
	if strings.ContainsAny(s, "xXpPnNiI") { // Go's hexadecimal floats, NaN and Inf
		return event.Value{}
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return event.Value{}
	}
	return event.NewFloat(f)
}

func coerceBoolean(v event.Value) event.Value {
	switch {
	case v.Kind() == event.True, v.Kind() == event.False:
		return v
	case v.Str() == "true", v.Kind() == event.Number && v.Float() == 1:
		return event.NewBool(true)
	case v.Str() == "false", v.Kind() == event.Number && v.Float() == 0:
		return event.NewBool(false)
	}
	return event.Value{}
}
