package expression

import (
	"errors"
	"regexp"
	"strconv"
	"strings"

	"github.com/expr-lang/expr/file"
)

// evalError says in words of the expression why the program of a source cannot be evaluated. It contains no value of the event.
func evalError(err error, source string) error {
	for _, known := range []error{errSteps, errBytes} {
		if errors.Is(err, known) {
			return known
		}
	}
	message, written := err.Error(), false
	if at := (*file.Error)(nil); errors.As(err, &at) {
		message, written = at.Message, isKeyWritten(source, at.From)
	}
	return errors.New(explainFailure(message, written))
}

// writtenKey matches an index whose key is a literal.
var writtenKey = regexp.MustCompile(`^\[\s*(?:-?\d+|"[^"\\]*"|'[^'\\]*')\s*\]`)

// isKeyWritten reports whether the expression itself has the key that it reads at a position: as a name, or as a literal in brackets. Otherwise the key
// is computed, and may be a value of the event.
func isKeyWritten(source string, at int) bool {
	runes := []rune(source)
	return at < len(runes) && (runes[at] != '[' || writtenKey.MatchString(string(runes[at:])))
}

// failure is a message of the virtual machine and what it means. $1 is the type that the first group of the pattern matches, in words; #1 is its text.
type failure struct {
	pattern  *regexp.Regexp
	meaning  string
	computed string // replaces the meaning if the expression does not have the key itself; "" if there is no key
}

// failures are tried in order.
var failures = []failure{
	{regexp.MustCompile(`^interface conversion: interface \{\} is (.+), not (.+)$`), "has $1 where $2 is needed", ""},
	{regexp.MustCompile(`^invalid operation: (?:int|float) (-) (.+)$`), "#1 cannot be used on $2", ""},
	{regexp.MustCompile(`^invalid operation: (\S+(?: \{\})?) (\S+) (\S+(?: \{\})?)$`), "#2 cannot be used on $1 and $3", ""},
	{regexp.MustCompile(`^invalid operation: (?:int|float)\((map\[.*|\[\].*|string|bool|<nil>|.*wholeNumber)\)$`), "has $1 where a number is needed", ""},
	{regexp.MustCompile(`^invalid operation: (?:int|float)\(`), "the text is not a number", ""},
	{regexp.MustCompile(`^invalid operation: cannot call non-function`), "only functions can be called", ""},
	{regexp.MustCompile(`(?s)^cannot fetch (.+) from (.+)$`), `"#1" cannot be read from $2`, "a key cannot be read from $2"},
	{regexp.MustCompile(`^index out of range: (-?\d+) \(array length is (\d+)\)$`), "there is no item #1 in a list of #2", "there is no such item in a list of #2"},
	{regexp.MustCompile(`^reflect\.Value\.MapIndex: value of type (.+) is not assignable to type (.+)$`), "the key of an object is $1 where $2 is needed", ""},
	{regexp.MustCompile(`^reflect\.Value\.Slice`), "the bounds are outside of the list", ""},
	{regexp.MustCompile(`^reflect: call of reflect\.Value\.\w+ on (\w+) Value$`), "has $1 where a list is needed", ""},
	{regexp.MustCompile(`integer divide by zero`), "divides by zero", ""},
	{regexp.MustCompile(`^invalid argument for (\w+) \(type (.+)\)$`), "#1 cannot be used on $2", ""},
	{regexp.MustCompile(`^invalid argument for (\w+) \(expected positive integer, got -\d+\)$`), "#1 needs a number that is not negative", ""},
	{regexp.MustCompile(`^cannot use (.+) as argument \(type \w+\) to call (\w+)`), "#2 cannot be used on $1", ""},
	{regexp.MustCompile(`^cannot get (keys|values) from (.+)$`), "#1 cannot be used on $2", ""},
	{regexp.MustCompile(`^cannot transform (.+) to pairs$`), "toPairs cannot be used on $1", ""},
	{regexp.MustCompile(`^cannot take (.+) elements$`), "take cannot be used with $1 as the number of items", ""},
	{regexp.MustCompile(`^cannot slice `), "only a part of a text or a list can be taken", ""},
	{regexp.MustCompile(`^cannot transform `), "fromPairs needs lists of a key and a value", ""},
	{regexp.MustCompile(`^cannot (\w+) (.+)$`), "#1 cannot be used on $2", ""},
	{regexp.MustCompile(`^invalid order `), "the order is neither asc nor desc", ""},
	{regexp.MustCompile(`^invalid operation: negative shift count`), "the shift count is negative", ""},
	{regexp.MustCompile(`^invalid pair`), "fromPairs needs lists of a key and a value", ""},
	{regexp.MustCompile(`^reduce of empty array`), "reduce needs an initial value for an empty list", ""},
	{regexp.MustCompile(`^invalid date|^parsing time`), "the text is not a date", ""},
	{regexp.MustCompile(`^time: .*duration`), "the text is not a duration, such as 1h30m", ""},
	{regexp.MustCompile(`^unknown time zone`), "the text is not a time zone, such as Europe/Berlin", ""},
	{regexp.MustCompile(`^invalid character|unexpected end of JSON|^unexpected EOF`), "the text is not JSON", ""},
	{regexp.MustCompile(`^illegal base64`), "the text is not base64", ""},
	{regexp.MustCompile(`^error parsing regexp`), "the pattern is not a regular expression", ""},
	{regexp.MustCompile(`^memory budget exceeded$`), "memory budget exceeded: makes too many values", ""},
	{regexp.MustCompile(`reflect|interface|runtime error|nil pointer`), "a value does not have the type that is needed", ""},
}

// explainFailure returns what a message of the virtual machine means. written says whether the expression has the key that it reads itself.
func explainFailure(message string, written bool) string {
	for _, f := range failures {
		parts := f.pattern.FindStringSubmatch(message)
		if parts == nil {
			continue
		}
		text := f.meaning
		if f.computed != "" && !written {
			text = f.computed
		}
		for i, part := range parts[1:] {
			number := strconv.Itoa(i + 1)
			text = strings.NewReplacer("$"+number, typeInWords(part), "#"+number, part).Replace(text)
		}
		return text
	}
	return message
}

// typeInWords describes a type of Go as a kind of value.
func typeInWords(name string) string {
	switch {
	case name == "string" || name == "[]uint8":
		return "a text"
	case strings.HasSuffix(name, "wholeNumber"):
		return "a number with too many digits"
	case strings.HasPrefix(name, "int") || strings.HasPrefix(name, "uint") || strings.HasPrefix(name, "float"):
		return "a number"
	case name == "bool":
		return "true or false"
	case strings.HasPrefix(name, "[]") || name == "slice" || name == "array":
		return "a list"
	case strings.HasPrefix(name, "map"):
		return "an object"
	case name == "<nil>" || name == "nil" || name == "invalid" || name == "zero":
		return "null"
	case name == "time.Time":
		return "a time"
	case name == "time.Duration":
		return "a duration"
	}
	return "another kind of value"
}
