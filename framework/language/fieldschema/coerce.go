package fieldschema

import (
	"math"
	"strconv"
	"strings"

	"github.com/landfall-dev/landfall/framework/event"
)

// Coerce turns the values of a cleaned payload into the types of their fields where that can be done, and leaves the others
// for Validate to refuse. A payload that needs none of it is returned as it is.
func (s *Schema) Coerce(payload event.Value) event.Value { return coerceObject(s.fields, payload) }

func coerceObject(fields Fields, v event.Value) event.Value {
	if v.Kind() != event.Object {
		return v
	}
	return rebuild(v, func(key string, m event.Value) event.Value {
		f := fields.Get(key)
		if f == nil {
			return m
		}
		return f.coerce(m)
	})
}

func (f *Field) coerce(v event.Value) event.Value {
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

// coerceOne coerces a value, or an item of a list, which may be a list of one element itself.
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
	if to := f.Type.coerce(from); to.Kind() != event.Absent {
		return to
	}
	return v
}

// coerce is v as the type has it; absent where that cannot be.
func (t Type) coerce(v event.Value) event.Value {
	switch t {
	case Number, Integer:
		return t.number(v)
	case Boolean:
		return boolean(v)
	case Datetime:
		if v.IsString() || v.Kind() == event.Number {
			return v
		}
		return event.Value{}
	}
	switch v.Kind() {
	case event.String:
		return v
	case event.Number, event.True, event.False:
		return event.NewString(v.Text())
	}
	return event.Value{}
}

func (t Type) number(v event.Value) event.Value {
	switch v.Kind() {
	case event.True:
		return event.NewInt(1)
	case event.False:
		return event.NewInt(0)
	case event.String:
		v = numberOf(v.Str())
	}
	if v.Kind() != event.Number || t == Integer && !isWhole(v) {
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

// numberOf reads a number as JavaScript's Number does: white space round it, 0x, 0o and 0b, exponents. A text that is none
// gives nothing; white space alone is 0. Whole numbers keep their digits.
func numberOf(s string) event.Value {
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

func boolean(v event.Value) event.Value {
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
