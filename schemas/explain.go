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
		e.problems.Add(pointer, "should be %s but is %s", joinKinds(want), got.Kind().WithArticle())
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
	case "minLength", "minItems", "minProperties":
		e.problems.Add(pointer, "should not be empty")
	case "pattern":
		e.problems.Add(pointer, "should match %s but is %s", want.Str(), got.JSON())
	case "minimum":
		e.problems.Add(pointer, "should be at least %s but is %s", want.JSON(), got.JSON())
	case "maxLength", "maxItems":
		e.problems.Add(pointer, "should be at most %s long", want.JSON())
	default:
		e.problems.Add(pointer, "breaks the rule %s: %s", keyword, want.JSON())
	}
}

func (e *explainer) addUnknownKeys(pointer string, got, properties event.Value) {
	var known []string
	for key := range properties.Members() {
		known = append(known, key)
	}
	for key := range got.Members() {
		if properties.Get(key).Kind() == event.Absent {
			e.problems.Add(pointer+fault.PointerKey(key), "is not a known key%s", fault.DidYouMean(key, known))
		}
	}
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
