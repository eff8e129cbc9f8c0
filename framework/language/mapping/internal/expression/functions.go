package expression

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"iter"
	"maps"
	"math"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/expr-lang/expr"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/language/reference"
)

// function is an entry of the table of functions that expressions have besides those of expr-lang.
type function struct {
	name    string
	usage   string
	summary string
	example string
	pattern int // the index of an argument that is a regular expression, compiled with the expression; 0 if there is none
	call    func(args []any) (any, error)
	arity   int // the number of arguments; -1 for at least one
}

// functionTable lists the functions.
func functionTable() []function {
	return []function{
		{"sha256", "sha256(text)", "the SHA-256 hash of the text, in hexadecimal; nil for nil", `sha256("a")[0:12]`, 0, hashFunction(sum256), 1},
		{"sha1", "sha1(text)", "the SHA-1 hash of the text, in hexadecimal; nil for nil", `sha1("a")[0:12]`, 0, hashFunction(sum1), 1},
		{"md5", "md5(text)", "the MD5 hash of the text, in hexadecimal; nil for nil", `md5("a")[0:12]`, 0, hashFunction(sumMD5), 1},
		{"digits", "digits(text)", "the text without anything but digits; nil for nil", `digits("+1 (415) 555-0100")`, 0, textFunction(onlyDigits), 1},
		{"squash", "squash(text)", "the text without white space; nil for nil", `squash(" a b ")`, 0, textFunction(withoutSpace), 1},
		{"text", "text(value)", "the value as JavaScript formats it; nil for nil", `text([1, "a"])`, 0, textFunction(func(s string) string { return s }), 1},
		{"number", "number(value)", "the number itself, or the number that a text contains; nil if it contains none", `number("12.50")`, 0, toNumber, 1},
		{"blank", "blank(value)", "whether the value is nil or an empty text", `blank("")`, 0, isBlank, 1},
		{"isEmail", "isEmail(value)", "whether the value is a text with the form of an e-mail address", `isEmail("ana@example.com")`, 0, isEmailValue, 1},
		{"e164", "e164(text, region)", "the phone number as `+` and digits: as it is if the text has that form, otherwise that of a number written as in a region, such as `\"DE\"`; nil if it is none", `e164("0151 12345678", "DE")`, 0, toE164, 2},
		{"encodeQuery", "encodeQuery(text)", "the text as a value within the query of a URL, where `@`, `:`, `,` and `/` may stay; nil for nil", `encodeQuery("a+b@example.com")`, 0, textFunction(encodeQueryValue), 1},
		{"decodeQuery", "decodeQuery(text)", "the text that a value within the query of a URL stands for; the text itself if it is not encoded correctly; nil for nil", `decodeQuery("a%2Bb%40example.com")`, 0, textFunction(decodeQueryValue), 1},
		{"extract", "extract(text, pattern)", "the first group of a regular expression in the text, or the whole match if it has no group; nil without a match", `extract("v12.3", "v([0-9]+)")`, 1, extractMatch, 2},
		{"substitute", "substitute(text, pattern, by)", "the text with each match of a regular expression replaced by a text", `substitute("a-b c", "[^a-z]", "_")`, 1, substituteMatches, 3},
		{"seconds", "seconds(time)", "the time as whole seconds since 1970; nil if it is not a time", `seconds("2026-01-02T03:04:05.678Z")`, 0, timeFunction(func(t time.Time) any { return int(t.Unix()) }), 1},
		{"milliseconds", "milliseconds(time)", "the time as whole milliseconds since 1970; nil if it is not a time", `milliseconds("2026-01-02T03:04:05.678Z")`, 0, timeFunction(func(t time.Time) any { return int(t.UnixMilli()) }), 1},
		{"isoTime", "isoTime(time)", "the time in UTC with milliseconds, as JavaScript writes it; nil if it is not a time", `isoTime("2026-01-02T03:04:05+01:00")`, 0, timeFunction(func(t time.Time) any { return t.UTC().Format("2006-01-02T15:04:05.000Z") }), 1},
		{"convertDates", "convertDates(value, pattern, form, inLists)", "the value with the texts at any depth that match a regular expression and are times as `\"seconds\"` since 1970, or as `\"utc\"`, a text like `2026-01-02 03:04:05 +00:00`; those in lists only if inLists is true", `convertDates({"at": "2026-01-02"}, "^[0-9]{4}-", "seconds", false)`, 1, convertDates, 4},
		{"merge", "merge(object, …)", "an object with the keys of several; the last one wins, and nil counts as an empty object", `merge({"a": 1}, {"a": 2, "b": 3})`, 0, mergeObjects, -1},
		{"omit", "omit(object, keys)", "the object without some of its keys; nil for nil", `omit({"a": 1, "b": 2}, ["a"])`, 0, omitKeys, 2},
		{"pick", "pick(object, keys)", "the object with only some of its keys; nil for nil", `pick({"a": 1, "b": 2}, ["a"])`, 0, pickKeys, 2},
		{"json", "json(value)", "the value as JSON without white space, with the keys of objects in order; nil for nil", `json({"b": 1, "a": ["x"]})`, 0, toJSONText, 1},
		{"compact", "compact(value)", "the object or list without the members that are nil; nil for nil", `compact({"a": 1, "b": nil})`, 0, compactValue, 1},
	}
}

// Functions lists the functions that expressions have besides those of expr-lang. The examples are expressions.
func Functions() []reference.Entry {
	var list []reference.Entry
	for _, f := range functionTable() {
		list = append(list, reference.Entry{Name: f.name, Usage: f.usage, Summary: f.summary, Example: f.example})
	}
	return list
}

// functionNames returns the names of the functions that are not those of expr-lang.
func functionNames() (list []string) {
	for _, f := range functionTable() {
		list = append(list, f.name)
	}
	return list
}

// ownFunctions returns the options that declare the functions, under names that no expression can use: a key of an event may have the
// name of a function.
func ownFunctions() []expr.Option {
	var options []expr.Option
	for _, f := range functionTable() {
		options = append(options, expr.Function(internalPrefix+f.name, func(args ...any) (any, error) {
			if f.arity >= 0 && len(args) != f.arity || len(args) == 0 {
				return nil, fmt.Errorf("%s needs another number of arguments: %s", f.name, f.usage)
			}
			return f.call(args)
		}))
	}
	return options
}

// scalarText returns a value as text, formatted as in JavaScript. ok is false for nil.
func scalarText(x any) (text string, ok bool, err error) {
	switch x := x.(type) {
	case nil:
		return "", false, nil
	case string:
		return x, true, nil
	}
	v, err := toValue(x, 0)
	return v.Text(), true, err
}

func textFunction(convert func(string) string) func([]any) (any, error) {
	return func(args []any) (any, error) {
		text, ok, err := scalarText(args[0])
		if err != nil || !ok {
			return nil, err
		}
		return convert(text), nil
	}
}

func hashFunction(sum func([]byte) []byte) func([]any) (any, error) {
	return textFunction(func(s string) string { return hex.EncodeToString(sum([]byte(s))) })
}

func sum256(b []byte) []byte {
	sum := sha256.Sum256(b)
	return sum[:]
}

// sum1 and sumMD5 are for remotes that compare hashes of this kind; nothing is protected by them.
func sum1(b []byte) []byte {
	sum := sha1.Sum(b)
	return sum[:]
}

func sumMD5(b []byte) []byte {
	sum := md5.Sum(b)
	return sum[:]
}

func onlyDigits(s string) string {
	return strings.Map(func(r rune) rune {
		if r < '0' || r > '9' {
			return -1
		}
		return r
	}, s)
}

func withoutSpace(s string) string {
	return strings.Map(func(r rune) rune {
		if event.TrimSpace(string(r)) == "" {
			return -1
		}
		return r
	}, s)
}

// decodeQueryValue is the reverse of encodeQueryValue. Like url.QueryUnescape, it makes a space of +.
func decodeQueryValue(s string) string {
	plain, err := url.QueryUnescape(s)
	if err != nil {
		return s
	}
	return plain
}

// encodeQueryValue percent-encodes all bytes but those that a value in a query may have.
func encodeQueryValue(s string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-._~@:,/", c) >= 0 {
			b.WriteByte(c)
			continue
		}
		fmt.Fprintf(&b, "%%%02X", c)
	}
	return b.String()
}

func toNumber(args []any) (any, error) {
	switch x := args[0].(type) {
	case int, float64:
		return x, nil
	case string:
		v, err := event.ParseString(strings.TrimSpace(x))
		if err != nil || v.Kind() != event.Number || math.IsInf(v.Float(), 0) {
			return nil, nil
		}
		return toNative(v), nil
	}
	return nil, nil
}

func isBlank(args []any) (any, error) { return args[0] == nil || args[0] == "", nil }

func isEmailValue(args []any) (any, error) {
	text, ok := args[0].(string)
	return ok && event.IsEmail(text), nil
}

func timeFunction(convert func(time.Time) any) func([]any) (any, error) {
	return func(args []any) (any, error) {
		if t, ok := args[0].(time.Time); ok {
			return convert(t), nil
		}
		v, err := toValue(args[0], 0)
		if err != nil || !v.Exists() {
			return nil, err
		}
		t, err := event.ReadTime(v)
		if err != nil {
			return nil, nil // no time is nil: the expression says what follows
		}
		return convert(t), nil
	}
}

// objectMembers returns the members of an object: of a map, also one with keys of any type, which fromPairs and groupBy make, or of a part of the input that
// is passed on.
func objectMembers(x any) (members iter.Seq2[string, any], ok bool) {
	switch x := x.(type) {
	case map[string]any:
		return maps.All(x), true
	case event.Value:
		return passedMembers(x), x.Kind() == event.Object
	case map[any]any:
		object := make(map[string]any, len(x))
		for key, v := range x {
			name, err := keyText(key)
			if err != nil {
				return nil, false
			}
			object[name] = v
		}
		return maps.All(object), true
	}
	return nil, false
}

// argumentKind returns what an argument is, for messages.
func argumentKind(x any) string {
	if _, ok := x.(event.Value); ok {
		return "a list" // as passed objects are objects
	}
	return typeInWords(fmt.Sprintf("%T", x))
}

func mergeObjects(args []any) (any, error) {
	merged := map[string]any{}
	for _, arg := range args {
		if arg == nil {
			continue
		}
		members, ok := objectMembers(arg)
		if !ok {
			return nil, fmt.Errorf("merge needs objects, not %s", argumentKind(arg))
		}
		maps.Insert(merged, members)
	}
	return merged, nil
}

// keySet is a list of keys that omit and pick are called with.
type keySet struct {
	list  []any
	index map[string]bool // of a long list
}

// shortList is the number of keys up to which searching them one by one is faster.
const shortList = 16

func newKeySet(x any) (keys keySet, err error) {
	list, ok := x.([]any)
	if !ok {
		return keys, fmt.Errorf("a list of keys is needed, not %s", argumentKind(x))
	}
	keys.list = list
	if len(list) > shortList {
		keys.index = make(map[string]bool, len(list))
	}
	for _, key := range list {
		text, ok := key.(string)
		if !ok {
			return keys, fmt.Errorf("a key is a text, not %s", argumentKind(key))
		}
		if keys.index != nil {
			keys.index[text] = true
		}
	}
	return keys, nil
}

func (k keySet) contains(key string) bool {
	if k.index != nil {
		return k.index[key]
	}
	return slices.ContainsFunc(k.list, func(listed any) bool { return listed.(string) == key })
}

func omitKeys(args []any) (any, error) { return selectKeys(args, false) }

func pickKeys(args []any) (any, error) { return selectKeys(args, true) }

func selectKeys(args []any, wanted bool) (any, error) {
	members, ok := objectMembers(args[0])
	if !ok && args[0] != nil {
		return nil, fmt.Errorf("an object is needed, not %s", argumentKind(args[0]))
	}
	keys, err := newKeySet(args[1])
	if err != nil || args[0] == nil {
		return nil, err
	}
	selected := map[string]any{}
	for key, v := range members {
		if keys.contains(key) == wanted {
			selected[key] = v
		}
	}
	return selected, nil
}

func toJSONText(args []any) (any, error) {
	if args[0] == nil {
		return nil, nil
	}
	v, err := toValue(args[0], 0)
	if err != nil {
		return nil, err
	}
	return v.JSON(), nil
}

func compactValue(args []any) (any, error) {
	if args[0] == nil {
		return nil, nil
	}
	if members, ok := objectMembers(args[0]); ok {
		kept := map[string]any{}
		for key, v := range members {
			if v != nil {
				kept[key] = v
			}
		}
		return kept, nil
	}
	list, ok := args[0].([]any)
	if passed, isPassed := args[0].(event.Value); isPassed {
		list, ok = passedItems(passed), true
	}
	if !ok {
		return nil, fmt.Errorf("compact needs an object or a list, not %s", argumentKind(args[0]))
	}
	kept := []any{}
	for _, v := range list {
		if v != nil {
			kept = append(kept, v)
		}
	}
	return kept, nil
}
