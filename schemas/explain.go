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

// explainer says validation errors in plain words.
type explainer struct {
	schema, instance event.Value
	problems         fault.Problems
}

// explain adds the problems at the leaves of an error. Of alternatives, none of which fit, only what they ask for is said.
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
	e.say(err.InstanceLocation, keyword, want, got, parent)
}

func (e *explainer) say(place, keyword string, want, got, schema event.Value) {
	switch keyword {
	case "type":
		e.problems.Add(place, "should be %s but is %s", orKinds(want), got.Kind().WithArticle())
	case "enum":
		e.problems.Add(place, "should be %s but is %s", orValues(want), got.JSON())
	case "const":
		e.problems.Add(place, "should be %s but is %s", want.Text(), got.JSON())
	case "required":
		for _, key := range want.Items() {
			if got.Get(key.Str()).Kind() == event.Absent {
				e.problems.Add(place, "should have the key %q", key.Str())
			}
		}
	case "anyOf":
		var keys []string
		for _, option := range want.Items() {
			keys = append(keys, strconv.Quote(option.Get("required").Index(0).Str()))
		}
		e.problems.Add(place, "should have one of the keys %s", strings.Join(keys, ", "))
	case "additionalProperties":
		e.unknownKeys(place, got, schema.Get("properties"))
	case "minLength", "minItems", "minProperties":
		e.problems.Add(place, "should not be empty")
	case "pattern":
		e.problems.Add(place, "should match %s but is %s", want.Str(), got.JSON())
	case "minimum":
		e.problems.Add(place, "should be at least %s but is %s", want.JSON(), got.JSON())
	case "maxLength", "maxItems":
		e.problems.Add(place, "should be at most %s long", want.JSON())
	default:
		e.problems.Add(place, "breaks the rule %s: %s", keyword, want.JSON())
	}
}

func (e *explainer) unknownKeys(place string, got, properties event.Value) {
	var known []string
	for key := range properties.Members() {
		known = append(known, key)
	}
	for key := range got.Members() {
		if properties.Get(key).Kind() == event.Absent {
			e.problems.Add(place+fault.PointerKey(key), "is not a key that belongs here%s", fault.DidYouMean(key, known))
		}
	}
}

// orKinds is "a string or an object".
func orKinds(want event.Value) string {
	if want.IsString() {
		return fault.Article(want.Str())
	}
	var kinds []string
	for _, kind := range want.Items() {
		kinds = append(kinds, fault.Article(kind.Str()))
	}
	return strings.Join(kinds, " or ")
}

func orValues(want event.Value) string {
	var values []string
	for _, v := range want.Items() {
		values = append(values, v.Text())
	}
	if n := len(values); n > 1 {
		return fmt.Sprintf("%s or %s", strings.Join(values[:n-1], ", "), values[n-1])
	}
	return strings.Join(values, "")
}
