package schemas

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v5"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
)

// explainer turns validation errors into problems in plain language.
type explainer struct {
	schema, instance event.Value
	problems         fault.Problems
}

// explain adds a problem for each leaf of a validation error. For alternatives of which none match, it lists only the keys that
// they require.
func (e *explainer) explain(err *jsonschema.ValidationError) {
	keyword := err.KeywordLocation[strings.LastIndexByte(err.KeywordLocation, '/')+1:]
	if len(err.Causes) > 0 && keyword != "anyOf" {
		for _, cause := range err.Causes {
			e.explain(cause)
		}
		return
	}
	_, fragment, _ := strings.Cut(err.AbsoluteKeywordLocation, "#")
	if decoded, unescapeErr := url.PathUnescape(fragment); unescapeErr == nil {
		fragment = decoded
	}
	want, got := e.schema.At(fragment), e.instance.At(err.InstanceLocation)
	parent := e.schema.At(fragment[:strings.LastIndexByte(fragment, '/')])
	e.addProblem(err.InstanceLocation, keyword, want, got, parent)
}

func (e *explainer) addProblem(pointer, keyword string, want, got, schema event.Value) {
	switch keyword {
	case "type":
		e.addType(pointer, want, got, schema.Get("pattern"))
	case "enum":
		e.problems.Add(pointer, "should be %s but is %s%s", joinValues(want), got.JSON(), nearestValue(want, got))
	case "const":
		e.problems.Add(pointer, "should be %s but is %s", want.Text(), got.JSON())
	case "required":
		for _, key := range want.Items() {
			if got.Get(key.Str()).Kind() == event.Absent {
				e.problems.Add(pointer, "should have the key %q", key.Str())
			}
		}
	case "anyOf":
		var keys []string
		for _, option := range want.Items() {
			keys = append(keys, strconv.Quote(option.Get("required").Index(0).Str()))
		}
		e.problems.Add(pointer, "should have one of the keys %s", strings.Join(keys, ", "))
	case "additionalProperties":
		e.addUnknownKeys(pointer, got, schema.Get("properties"))
	case "pattern":
		e.problems.Add(pointer, "should be %s but is %s", patternWords[want.Str()], got.JSON())
	default:
		e.problems.Add(pointer, "%s%s", boundText(keyword, want, got), emptyHint(keyword, schema.Get("properties")))
	}
}

// patternWords has the words for the patterns of texts.
var patternWords = map[string]string{
	"^[A-Za-z_][A-Za-z0-9_]*$":              "the name of an environment variable",
	`^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$`:      "a duration such as 90s, 15m or 168h",
	`^[a-z0-9]+(-[a-z0-9]+)*$`:              "lower-case letters and digits, with single hyphens between them, such as my-destination,",
	`^[a-z][A-Za-z0-9]*$`:                   "letters and digits that begin with a lower-case letter, such as orderId,",
	`^(GET|POST|PUT|PATCH|DELETE) /[^?#]*$`: "a method and a path without a query, such as POST /lists/*/people,",
	`^[A-Za-z0-9_-]+\.js$`:                  "the name of a JavaScript file in the same directory, such as browser.js,",
}

// addType adds a problem for a value of the wrong type. pattern is the pattern for texts, if there is one.
func (e *explainer) addType(pointer string, want, got, pattern event.Value) {
	switch words := patternWords[pattern.Str()]; {
	case pointer == "" && got.Kind() == event.Null:
		e.problems.Add(pointer, "is empty, but should be %s", joinKinds(want))
	case words != "":
		e.problems.Add(pointer, "should be %s but is %s", words, got.JSON())
	default:
		e.problems.Add(pointer, "should be %s but is %s%s", joinKinds(want), got.Kind().WithArticle(), switchHint(want, got))
	}
}

// boundText says which bound of a schema a value breaks.
func boundText(keyword string, want, got event.Value) string {
	if bound, isNumber := numberBounds[keyword]; isNumber {
		return fmt.Sprintf("should be %s %s but is %s", bound, want.JSON(), got.JSON())
	}
	bound, isSize := sizeBounds[keyword]
	switch {
	case isSize && want.JSON() == "1" && bound.word == "at least":
		return "should not be empty"
	case isSize && want.JSON() == "1":
		return "should have at most one " + bound.unit
	case isSize:
		return fmt.Sprintf("should have %s %s %ss", bound.word, want.JSON(), bound.unit)
	case keyword == "uniqueItems":
		return "should not have the same entry twice"
	case keyword == "format":
		return fmt.Sprintf("should be in the format %s but is %s", want.Text(), got.JSON())
	}
	return "is not allowed here" // false as a schema, and not
}

// emptyHint lists the keys that an object which should not be empty can have, if they are few.
func emptyHint(keyword string, properties event.Value) string {
	if known := keysOf(properties); keyword == "minProperties" && len(known) > 0 && len(known) <= maxListedKeys {
		return ": the keys here are " + strings.Join(known, ", ")
	}
	return ""
}

func keysOf(v event.Value) (keys []string) {
	for key := range v.Members() {
		keys = append(keys, key)
	}
	return keys
}

// numberBounds and sizeBounds have the words for the keywords that bound numbers and sizes.
var (
	numberBounds = map[string]string{
		"minimum": "at least", "maximum": "at most", "exclusiveMinimum": "more than", "exclusiveMaximum": "less than", "multipleOf": "a multiple of",
	}
	sizeBounds = map[string]struct{ word, unit string }{
		"minLength": {"at least", "character"}, "maxLength": {"at most", "character"}, "minItems": {"at least", "item"},
		"maxItems": {"at most", "item"}, "minProperties": {"at least", "key"}, "maxProperties": {"at most", "key"},
	}
)

// maxListedKeys is the maximum number of known keys that a message lists.
const maxListedKeys = 8

func (e *explainer) addUnknownKeys(pointer string, got, properties event.Value) {
	known := keysOf(properties)
	for key := range got.Members() {
		if properties.Get(key).Kind() == event.Absent {
			hint := fault.DidYouMean(key, known)
			if hint == "" && len(known) > 0 && len(known) <= maxListedKeys {
				hint = ": the keys here are " + strings.Join(known, ", ")
			}
			e.problems.Add(pointer+fault.PointerKey(key), "is not a known key%s", hint)
		}
	}
}

// switchHint says how to write a boolean that is written in the words of YAML 1.1, which YAML 1.2 reads as texts.
func switchHint(want, got event.Value) string {
	if want.Str() != "boolean" {
		return ""
	}
	switch strings.ToLower(got.Str()) {
	case "yes", "on", "y", "true":
		return fmt.Sprintf(": write true instead of %s, without quotes", got.Str())
	case "no", "off", "n", "false":
		return fmt.Sprintf(": write false instead of %s, without quotes", got.Str())
	}
	return ""
}

// joinKinds returns "a string or an object".
func joinKinds(want event.Value) string {
	if want.IsString() {
		return fault.WithArticle(want.Str())
	}
	var kinds []string
	for _, kind := range want.Items() {
		kinds = append(kinds, fault.WithArticle(kind.Str()))
	}
	return strings.Join(kinds, " or ")
}

// nearestValue returns the value of an enum that a text was most likely meant to be, if one is close.
func nearestValue(want, got event.Value) string {
	var values []string
	for _, v := range want.Items() {
		values = append(values, v.Text())
	}
	return fault.DidYouMean(got.Str(), values)
}

func joinValues(want event.Value) string {
	var values []string
	for _, v := range want.Items() {
		values = append(values, v.Text())
	}
	if n := len(values); n > 1 {
		return fmt.Sprintf("%s or %s", strings.Join(values[:n-1], ", "), values[n-1])
	}
	return strings.Join(values, "")
}
