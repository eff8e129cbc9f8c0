package fql

import (
	"cmp"
	"fmt"
	"strings"
	"unicode"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/language/reference"
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

// function is an entry of the table of functions. For arguments of other types than it accepts, it returns null, false or 0.
type function struct {
	name       string
	argTypes   []string // the accepted types of each argument; "" is any type
	resultType string
	summary    string // the result
	example    string
	apply      func(a, b event.Value) event.Value // b is absent if there is only one argument
	describe   func(of string) string             // describes the result for an argument in words; nil for a test of text
	test       func(c *call, negated bool) string // for a test of text, describes what the text has to contain
	pattern    bool                               // the second argument is a pattern
}

// isTextTest reports whether the function tests text. Its direct negation matches only text.
func (f *function) isTextTest() bool { return f.test != nil }

// functions lists all functions. It is read-only.
var functions = []*function{
	{name: "contains", argTypes: []string{typeString, typeString}, resultType: typeBool, summary: "whether a text contains another",
		example: `contains(event, "Order")`, apply: containsText, test: describeContains},
	{name: "match", argTypes: []string{typeString, typeString}, resultType: typeBool, summary: "whether a text matches a pattern",
		example: `match(event, "Order *")`, apply: matchesPattern, test: describeMatch, pattern: true},
	{name: "length", argTypes: []string{"list or string"}, resultType: typeNumber, summary: "the number of items of a list, or of bytes of a string; 0 for null",
		example: `length(properties.products) > 2`, apply: lengthOf, describe: phrase("the length of ", "")},
	{name: "lowercase", argTypes: []string{typeString}, resultType: typeString, summary: "the string in lower case",
		example: `lowercase(event) = "signed up"`, apply: stringFunction(strings.ToLower), describe: phrase("", " in lower case")},
	{name: "uppercase", argTypes: []string{typeString}, resultType: typeString, summary: "the string in upper case",
		example: `uppercase(traits.country) = "DE"`, apply: stringFunction(strings.ToUpper), describe: phrase("", " in upper case")},
	{name: "snakecase", argTypes: []string{typeString}, resultType: typeString, summary: "the string with `_` for each space",
		example: `snakecase(event) = "signed_up"`, apply: stringFunction(replaceSpaces("_")), describe: phrase("", " with underscores for spaces")},
	{name: "kebabcase", argTypes: []string{typeString}, resultType: typeString, summary: "the string with `-` for each space",
		example: `kebabcase(event) = "signed-up"`, apply: stringFunction(replaceSpaces("-")), describe: phrase("", " with dashes for spaces")},
	{name: "titlecase", argTypes: []string{typeString}, resultType: typeString, summary: "the string with the first letter of each word in upper case",
		example: `titlecase(event) = "Signed Up"`, apply: stringFunction(titleCase), describe: phrase("", " in title case")},
	{name: "typeof", argTypes: []string{""}, resultType: typeString, summary: "`string`, `number`, `bool`, `list`, `object` or `null`",
		example: `typeof(properties.price) = "number"`, apply: typeNameOf, describe: phrase("the kind of ", "")},
	{name: "bool", argTypes: []string{""}, resultType: typeBool, summary: "false for null, `false`, 0, \"\", \"false\", an empty list or object, otherwise true",
		example: `bool(traits.vip)`, apply: toBool, describe: phrase("", " as true or false")},
	{name: "string", argTypes: []string{""}, resultType: typeString, summary: "the value as text; empty for null",
		example: `string(properties.id) = "5"`, apply: toText, describe: phrase("", " as a string")},
	{name: "number", argTypes: []string{"number or string"}, resultType: typeNumber, summary: "a string parsed as a number; null if it is none",
		example: `number(properties.price) > 5`, apply: toNumber, describe: phrase("", " as a number")},
}

// phrase returns a function that puts words around its argument.
func phrase(before, after string) func(string) string {
	return func(of string) string { return before + of + after }
}

// Functions lists the functions. Their examples are queries.
func Functions() []reference.Entry {
	var list []reference.Entry
	for _, f := range functions {
		var args []string
		for _, accepted := range f.argTypes {
			args = append(args, cmp.Or(accepted, "value"))
		}
		list = append(list, reference.Entry{Name: f.name, Usage: fmt.Sprintf("%s(%s)", f.name, strings.Join(args, ", ")), Summary: f.summary, Example: f.example})
	}
	return list
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
