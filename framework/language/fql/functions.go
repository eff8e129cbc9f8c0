package fql

import (
	"strings"
	"unicode"

	"github.com/landfall-dev/landfall/framework/event"
)

// The types of the language, as typeof returns them. The type of an absent value is null.
const (
	typeString = "string"
	typeNumber = "number"
	typeBool   = "bool"
	typeList   = "list"
	typeNull   = "null"
	typeObject = "object"
)

func typeOf(v event.Value) string {
	switch v.Kind() {
	case event.String:
		return typeString
	case event.Number:
		return typeNumber
	case event.True, event.False:
		return typeBool
	case event.Array:
		return typeList
	case event.Object:
		return typeObject
	}
	return typeNull
}

// function is a function of the language. For arguments of other types than it accepts, it returns null, false or 0.
type function struct {
	name       string
	argTypes   []string // the accepted types of each argument; "" is any type
	resultType string
	example    string
	apply      func(a, b event.Value) event.Value // b is absent if there is only one argument
}

// isTextTest reports whether the function tests text. Its direct negation matches only text.
func (f *function) isTextTest() bool { return f.name == "contains" || f.name == "match" }

// functions lists all functions. It is read-only.
var functions = []*function{
	{"contains", []string{typeString, typeString}, typeBool, `contains(event, "Order")`, containsText},
	{"match", []string{typeString, typeString}, typeBool, `match(event, "Order *")`, matchesPattern},
	{"length", []string{"list or string"}, typeNumber, `length(properties.products) > 2`, lengthOf},
	{"lowercase", []string{typeString}, typeString, `lowercase(event) = "signed up"`, stringFunction(strings.ToLower)},
	{"uppercase", []string{typeString}, typeString, `uppercase(traits.country) = "DE"`, stringFunction(strings.ToUpper)},
	{"snakecase", []string{typeString}, typeString, `snakecase(event) = "signed_up"`, stringFunction(replaceSpaces("_"))},
	{"kebabcase", []string{typeString}, typeString, `kebabcase(event) = "signed-up"`, stringFunction(replaceSpaces("-"))},
	{"titlecase", []string{typeString}, typeString, `titlecase(event) = "Signed Up"`, stringFunction(titleCase)},
	{"typeof", []string{""}, typeString, `typeof(properties.price) = "number"`, typeNameOf},
	{"bool", []string{""}, typeBool, `bool(traits.vip)`, toBool},
	{"string", []string{""}, typeString, `string(properties.id) = "5"`, toText},
	{"number", []string{"number or string"}, typeNumber, `number(properties.price) > 5`, toNumber},
}

func findFunction(name string) *function {
	for _, f := range functions {
		if f.name == name {
			return f
		}
	}
	return nil
}

func functionNames() []string {
	names := make([]string, len(functions))
	for i, f := range functions {
		names[i] = f.name
	}
	return names
}

func containsText(s, part event.Value) event.Value {
	return event.NewBool(s.IsString() && part.IsString() && strings.Contains(s.Str(), part.Str()))
}

// matchesPattern implements match for a pattern that is read from the event.
func matchesPattern(s, pattern event.Value) event.Value {
	if !s.IsString() || !pattern.IsString() || len([]rune(pattern.Str())) > MaxPattern {
		return event.NewBool(false)
	}
	return event.NewBool(newGlob(pattern.Str()).matches(s.Str()))
}

// lengthOf counts the bytes of a string, not its characters, as Segment does.
func lengthOf(v, _ event.Value) event.Value {
	switch v.Kind() {
	case event.String:
		return event.NewInt(int64(len(v.Str())))
	case event.Array:
		return event.NewInt(int64(v.Len()))
	case event.Absent, event.Null:
		return event.NewInt(0)
	}
	return event.NewNull()
}

// stringFunction returns a function of strings that returns null for any other type.
func stringFunction(change func(string) string) func(a, b event.Value) event.Value {
	return func(s, _ event.Value) event.Value {
		if !s.IsString() {
			return event.NewNull()
		}
		return event.NewString(change(s.Str()))
	}
}

func replaceSpaces(mark string) func(string) string {
	return func(s string) string { return strings.ReplaceAll(s, " ", mark) }
}

// titleCase converts the first letter of each word to upper case and keeps the others.
func titleCase(s string) string {
	previous := ' '
	return strings.Map(func(r rune) rune {
		first := previous == ' '
		previous = r
		if first {
			return unicode.ToUpper(r)
		}
		return r
	}, s)
}

func typeNameOf(v, _ event.Value) event.Value { return event.NewString(typeOf(v)) }

// toBool returns false for null, 0, "", "false" and empty lists and objects.
func toBool(v, _ event.Value) event.Value {
	switch v.Kind() {
	case event.Array, event.Object:
		return event.NewBool(v.Len() > 0)
	case event.String:
		return event.NewBool(v.Str() != "" && v.Str() != "false")
	}
	return event.NewBool(!v.Falsy())
}

func toText(v, _ event.Value) event.Value { return event.NewString(v.Text()) }

// toNumber parses a string as a number. It returns null if the string is not a number.
func toNumber(v, _ event.Value) event.Value {
	if v.IsString() {
		if n, ok := parseNumber(strings.TrimSpace(v.Str())); ok {
			return n
		}
	}
	if v.Kind() == event.Number {
		return v
	}
	return event.NewNull()
}
