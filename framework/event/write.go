package event

import (
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// AppendJSON appends v as compact JSON. Numbers keep their digits and objects their order. An absent v appends nothing.
func (v Value) AppendJSON(dst []byte) []byte { return v.appendJSON(dst, copyCompact) }

// writeMode is how appendJSON writes a value.
type writeMode int

const (
	copyCompact writeMode = iota // the text of a parsed container is copied if it is compact
	visitAll                     // each value is written by itself
	jsNumbers                    // likewise, and numbers are written as JavaScript prints them
)

// appendJSON appends v as JSON.
func (v Value) appendJSON(dst []byte, mode writeMode) []byte {
	if mode == copyCompact && v.Kind() >= Array && v.built() == nil {
		if d, n := v.doc(), v.node(); d.isCompact(n) {
			return append(dst, d.containerText(n)...)
		}
		mode = visitAll // so that no part is examined twice
	}
	switch v.Kind() {
	case Null:
		return append(dst, "null"...)
	case True:
		return append(dst, "true"...)
	case False:
		return append(dst, "false"...)
	case Number:
		if mode == jsNumbers {
			return append(dst, jsNumber(v.text())...)
		}
		return append(dst, v.text()...)
	case String:
		return AppendString(dst, v.Str())
	case Array:
		dst = append(dst, '[')
		for i, item := range v.Items() {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = item.appendJSON(dst, mode)
		}
		return append(dst, ']')
	case Object:
		dst = append(dst, '{')
		first := true
		for key, member := range v.Members() {
			if !first {
				dst = append(dst, ',')
			}
			first = false
			dst = append(AppendString(dst, key), ':')
			dst = member.appendJSON(dst, mode)
		}
		return append(dst, '}')
	}
	return dst
}

// JSON returns v as compact JSON, or "" for an absent v.
func (v Value) JSON() string { return string(v.appendJSON(nil, copyCompact)) }

// Stringify returns v as JavaScript's JSON.stringify prints it: 1.50 becomes 1.5, and a number that is infinite in JavaScript
// becomes null. Unlike JavaScript it keeps all digits of integers. It returns "" for an absent v.
func (v Value) Stringify() string { return string(v.appendJSON(nil, jsNumbers)) }

func jsNumber(digits string) string {
	text := FormatNumber(digits)
	if last := text[len(text)-1]; last < '0' || last > '9' {
		return "null"
	}
	return text
}

// MarshalJSON implements json.Marshaler. An absent v becomes null.
func (v Value) MarshalJSON() ([]byte, error) { return v.orNull().AppendJSON(nil), nil }

// UnmarshalJSON implements json.Unmarshaler.
func (v *Value) UnmarshalJSON(raw []byte) error {
	parsed, err := ParseString(string(raw))
	if err != nil {
		return err
	}
	*v = parsed
	return nil
}

// Any returns v as encoding/json decodes it with UseNumber. It returns nil for null and absent values.
func (v Value) Any() any {
	switch v.Kind() {
	case True, False:
		return v.Kind() == True
	case Number:
		return json.Number(v.text())
	case String:
		return v.Str()
	case Array:
		list := make([]any, 0, v.Len())
		for _, item := range v.Items() {
			list = append(list, item.Any())
		}
		return list
	case Object:
		object := make(map[string]any)
		for key, member := range v.Members() {
			object[key] = member.Any()
		}
		return object
	}
	return nil
}

// Equal reports whether two values are equal. Numbers are compared by value, and objects without regard to order.
func Equal(a, b Value) bool {
	if a.Kind() != b.Kind() {
		return false
	}
	switch a.Kind() {
	case Number:
		return EqualDigits(a.text(), b.text())
	case String:
		return a.Str() == b.Str()
	case Array:
		return equalItems(a, b)
	case Object:
		if a.Len() != b.Len() {
			return false
		}
		for key, member := range a.Members() {
			if other := b.Get(key); !Equal(member, other) {
				return false
			}
		}
	}
	return true
}

func equalItems(a, b Value) bool {
	if a.Len() != b.Len() {
		return false
	}
	for i, item := range a.Items() {
		if !Equal(item, b.Index(i)) {
			return false
		}
	}
	return true
}

// EqualDigits reports whether two JSON numbers have the same value. Integers are compared exactly, other numbers as float64.
func EqualDigits(a, b string) bool {
	if a == b {
		return true
	}
	if isWhole(a) && isWhole(b) {
		return FormatNumber(a) == FormatNumber(b)
	}
	x, _ := strconv.ParseFloat(a, 64)
	y, _ := strconv.ParseFloat(b, 64)
	return x == y
}

// isWhole reports whether a JSON number is written without a fraction and an exponent.
func isWhole(digits string) bool {
	return !strings.ContainsAny(digits, ".eE")
}

// AppendString appends s as a JSON string. It escapes only the characters that JSON requires to be escaped.
func AppendString(dst []byte, s string) []byte {
	const digits = "0123456789abcdef"
	dst = append(dst, '"')
	from := 0
	for i := plainPrefix(s); i < len(s); i++ {
		c := s[i]
		if c >= 0x20 && c != '"' && c != '\\' {
			continue
		}
		dst = append(dst, s[from:i]...)
		from = i + 1
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\r':
			dst = append(dst, '\\', 'r')
		case '\t':
			dst = append(dst, '\\', 't')
		case '\b':
			dst = append(dst, '\\', 'b')
		case '\f':
			dst = append(dst, '\\', 'f')
		default:
			dst = append(dst, '\\', 'u', '0', '0', digits[c>>4], digits[c&15])
		}
	}
	return append(append(dst, s[from:]...), '"')
}

// Text returns v as JavaScript prints it in a string, for templates and coercion. Numbers are printed by FormatNumber, the items of
// an array are joined by commas, and null and absent values become "". An object, which JavaScript prints as "[object Object]",
// becomes compact JSON.
func (v Value) Text() string {
	switch v.Kind() {
	case String:
		return v.Str()
	case Number:
		return FormatNumber(v.text())
	case True:
		return "true"
	case False:
		return "false"
	case Object:
		return v.Stringify()
	case Array:
		var b strings.Builder
		for i, item := range v.Items() {
			if i > 0 {
				b.WriteByte(',')
			}
			b.WriteString(item.Text())
		}
		return b.String()
	}
	return ""
}

// FormatNumber prints a JSON number as ECMAScript does: 1.50 becomes 1.5, 1e21 becomes 1e+21, and -0 becomes 0. Unlike ECMAScript
// it keeps all digits of an integer that is written without an exponent.
func FormatNumber(digits string) string {
	if isWhole(digits) {
		if digits == "-0" {
			return "0"
		}
		return digits
	}
	f, _ := strconv.ParseFloat(digits, 64)
	return FormatFloat(f)
}

// FormatFloat prints a number as ECMAScript does, including NaN and Infinity.
func FormatFloat(f float64) string {
	switch abs := math.Abs(f); {
	case f == 0:
		return "0"
	case math.IsNaN(f):
		return "NaN"
	case math.IsInf(f, 1):
		return "Infinity"
	case math.IsInf(f, -1):
		return "-Infinity"
	case abs >= 1e-6 && abs < 1e21:
		return strconv.FormatFloat(f, 'f', -1, 64)
	}
	text := strconv.FormatFloat(f, 'e', -1, 64)
	mantissa, exponent, _ := strings.Cut(text, "e")
	return mantissa + "e" + exponent[:1] + strings.TrimLeft(exponent[1:], "0")
}

// UTF16Len returns the length of s in UTF-16 code units, as JavaScript counts it.
func UTF16Len(s string) int {
	n := 0
	for _, r := range s {
		n += max(1, utf16.RuneLen(r))
	}
	return n
}

// utf16At returns the character at a UTF-16 index of s. Half a surrogate pair becomes U+FFFD.
func utf16At(s string, index int) (string, bool) {
	for _, r := range s {
		n := max(1, utf16.RuneLen(r))
		if index < n {
			if n == 2 {
				return string(utf8.RuneError), true
			}
			return string(r), true
		}
		index -= n
	}
	return "", false
}
