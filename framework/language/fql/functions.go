package fql

import (
	"strings"
	"unicode"

	"github.com/landfall-dev/landfall/framework/event"
)

// The types of the language, as typeof names them. An absent value is null.
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

// function is one of the functions of the language. What it gives for values of other types than it takes is null,
// false or 0.
type function struct {
	name    string
	takes   []string // for each argument the types it may have; "" is any
	gives   string
	example string
	apply   func(a, b event.Value) event.Value // b is absent where only one is taken
}

// isTextTest tells whether the function tests text: its direct negation then holds for text only.
func (f *function) isTextTest() bool { return f.name == "contains" || f.name == "match" }

// functions is read only.
var functions = []*function{
	{"contains", []string{typeString, typeString}, typeBool, `contains(event, "Order")`, contains},
	{"match", []string{typeString, typeString}, typeBool, `match(event, "Order *")`, match},
	{"length", []string{"list or string"}, typeNumber, `length(properties.products) > 2`, length},
	{"lowercase", []string{typeString}, typeString, `lowercase(event) = "signed up"`, onText(strings.ToLower)},
	{"uppercase", []string{typeString}, typeString, `uppercase(traits.country) = "DE"`, onText(strings.ToUpper)},
	{"snakecase", []string{typeString}, typeString, `snakecase(event) = "signed_up"`, onText(spacesTo("_"))},
	{"kebabcase", []string{typeString}, typeString, `kebabcase(event) = "signed-up"`, onText(spacesTo("-"))},
	{"titlecase", []string{typeString}, typeString, `titlecase(event) = "Signed Up"`, onText(titlecase)},
	{"typeof", []string{""}, typeString, `typeof(properties.price) = "number"`, typeName},
	{"bool", []string{""}, typeBool, `bool(traits.vip)`, truth},
	{"string", []string{""}, typeString, `string(properties.id) = "5"`, printed},
	{"number", []string{"number or string"}, typeNumber, `number(properties.price) > 5`, numeric},
}

func functionOf(name string) *function {
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

func contains(s, part event.Value) event.Value {
	return event.NewBool(s.IsString() && part.IsString() && strings.Contains(s.Str(), part.Str()))
}

// match is what a call does whose pattern is read from the event.
func match(s, pattern event.Value) event.Value {
	if !s.IsString() || !pattern.IsString() || len([]rune(pattern.Str())) > MaxPattern {
		return event.NewBool(false)
	}
	return event.NewBool(newGlob(pattern.Str()).match(s.Str()))
}

// length counts the bytes of a string, not its characters, as Segment does.
func length(v, _ event.Value) event.Value {
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

// onText makes a function of strings, which gives null for anything else.
func onText(change func(string) string) func(a, b event.Value) event.Value {
	return func(s, _ event.Value) event.Value {
		if !s.IsString() {
			return event.NewNull()
		}
		return event.NewString(change(s.Str()))
	}
}

func spacesTo(mark string) func(string) string {
	return func(s string) string { return strings.ReplaceAll(s, " ", mark) }
}

// titlecase makes the first letter of each word upper case and leaves the others.
func titlecase(s string) string {
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

func typeName(v, _ event.Value) event.Value { return event.NewString(typeOf(v)) }

// truth is false for null, 0, "", "false" and what is empty.
func truth(v, _ event.Value) event.Value {
	switch v.Kind() {
	case event.Array, event.Object:
		return event.NewBool(v.Len() > 0)
	case event.String:
		return event.NewBool(v.Str() != "" && v.Str() != "false")
	}
	return event.NewBool(!v.Falsy())
}

func printed(v, _ event.Value) event.Value { return event.NewString(v.Text()) }

// numeric reads the number that a string writes; what writes none is null.
func numeric(v, _ event.Value) event.Value {
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
