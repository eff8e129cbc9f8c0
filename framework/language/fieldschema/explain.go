package fieldschema

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v5"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
)

// ProblemsOf are the places that an error of Process or Validate is about.
func ProblemsOf(err error) fault.Problems {
	var e *fault.Error
	if errors.As(err, &e) && e.Cause != nil {
		return fault.ProblemsOf(e.Cause)
	}
	return fault.ProblemsOf(err)
}

// explain asks the JSON Schema, and says what it refuses; nil where it refuses nothing.
func (s *Schema) explain(payload event.Value) error {
	err := s.authority.Validate(payload.Any())
	if err == nil {
		return nil
	}
	var wrong *jsonschema.ValidationError
	if !errors.As(err, &wrong) {
		return fault.Invalid("%v", err)
	}
	x := explainer{schema: s, payload: payload}
	x.leaves(wrong)
	slices.SortFunc(x.problems, func(a, b fault.Problem) int {
		return cmp.Or(cmp.Compare(a.Pointer, b.Pointer), cmp.Compare(a.Message, b.Message))
	})
	x.problems = slices.Compact(x.problems)
	messages := make([]string, len(x.problems))
	for i, p := range x.problems {
		messages[i] = p.Message
	}
	return &fault.Error{
		Code: fault.CodeInvalidPayload, Status: http.StatusBadRequest, Place: x.problems[0].Pointer,
		Message: strings.Join(messages, "; "), Cause: x.problems,
	}
}

// explainer says validation errors in the words of the fields.
type explainer struct {
	schema   *Schema
	payload  event.Value
	problems fault.Problems
}

// leaves explains the errors that have no causes.
func (x *explainer) leaves(err *jsonschema.ValidationError) {
	if len(err.Causes) > 0 {
		for _, cause := range err.Causes {
			x.leaves(cause)
		}
		return
	}
	keyword := err.KeywordLocation[strings.LastIndexByte(err.KeywordLocation, '/')+1:]
	_, fragment, _ := strings.Cut(err.AbsoluteKeywordLocation, "#")
	if decoded, unescapeErr := url.PathUnescape(fragment); unescapeErr == nil {
		fragment = decoded
	}
	x.say(err.InstanceLocation, keyword, x.schema.published.At(fragment))
}

func (x *explainer) say(place, keyword string, want event.Value) {
	got, f, label := x.payload.At(place), x.schema.fieldAt(place), x.schema.labelAt(place)
	switch keyword {
	case "required":
		for _, key := range want.Items() {
			if got.Get(key.Str()).Kind() == event.Absent {
				inner := place + fault.PointerKey(key.Str())
				x.problems.Add(inner, "%s is required but missing", x.schema.labelAt(inner))
			}
		}
	case "type":
		x.problems.Add(place, "%s should be %s but is %s", label, orKinds(want), shown(f, got))
	case "enum":
		x.problems.Add(place, "%s should be %s but is %s", label, orValues(want), shown(f, got))
	case "format":
		x.problems.Add(place, "%s should be %s but is %s%s", label, formatWords(want.Str()), shown(f, got), timeReason(want.Str(), got))
	case "minimum":
		x.problems.Add(place, "%s should be at least %s but is %s", label, want.JSON(), shown(f, got))
	case "maximum":
		x.problems.Add(place, "%s should be at most %s but is %s", label, want.JSON(), shown(f, got))
	case "minLength":
		x.problems.Add(place, "%s should have at least %s characters but is %s", label, want.JSON(), shown(f, got))
	case "maxLength":
		x.problems.Add(place, "%s should have at most %s characters but is %s", label, want.JSON(), shown(f, got))
	default:
		x.problems.Add(place, "%s breaks the rule %s", label, keyword)
	}
}

// fieldAt is the field at a place of a payload, nil where there is none.
func (s *Schema) fieldAt(place string) *Field {
	fields, found := s.fields, (*Field)(nil)
	for _, step := range event.PointerSteps(place) {
		if f := fields.Get(step); f != nil {
			found, fields = f, f.Properties
		}
	}
	return found
}

// labelAt names a place of a payload by the labels on the way to it: User Alias › Alias Name, Tags 2.
func (s *Schema) labelAt(place string) string {
	var labels []string
	fields := s.fields
	for _, step := range event.PointerSteps(place) {
		if f := fields.Get(step); f != nil {
			labels, fields = append(labels, f.Label), f.Properties
		} else if n, err := strconv.Atoi(step); err == nil && len(labels) > 0 {
			labels[len(labels)-1] += fmt.Sprintf(" %d", n+1)
		}
	}
	if len(labels) == 0 {
		return "the payload"
	}
	return strings.Join(labels, " › ")
}

// shown is what came, bounded; the value of a password field does not show.
func shown(f *Field, v event.Value) string {
	const most = 60
	switch {
	case f != nil && f.Type == Password && v.IsString():
		return "another text"
	case v.Kind() == event.Array || v.Kind() == event.Object:
		return v.Kind().WithArticle()
	case f != nil && f.Type == Password:
		return v.Kind().WithArticle()
	}
	text := v.JSON()
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "…"
	}
	if v.IsString() {
		return "the text " + text
	}
	return text
}

func orKinds(want event.Value) string {
	if want.IsString() {
		return article(want.Str())
	}
	var kinds []string
	for _, kind := range want.Items() {
		kinds = append(kinds, article(kind.Str()))
	}
	return strings.Join(kinds, " or ")
}

// article is the kind with its article; null has none.
func article(kind string) string {
	if kind == "null" {
		return kind
	}
	return fault.Article(kind)
}

// orValues lists choices, at most ten of them.
func orValues(want event.Value) string {
	const most = 10
	var values []string
	for i, v := range want.Items() {
		if i == most {
			values = append(values, fmt.Sprintf("one of %d others", want.Len()-most))
			break
		}
		values = append(values, v.JSON())
	}
	return strings.Join(values, ", ")
}

// timeReason says in parentheses why a value cannot be read as a time, for a datetime.
func timeReason(format string, v event.Value) string {
	var mistake *event.TimeError
	if _, err := event.ReadTime(v); format != dateLike || !errors.As(err, &mistake) {
		return ""
	}
	return " (" + mistake.Reason + ")"
}

func formatWords(format string) string {
	words := map[string]string{
		"email": "an email address", "uri": "a URI such as https://example.com", "uri-reference": "a URI reference",
		"ipv4": "an IPv4 address", "ipv6": "an IPv6 address", "hostname": "a host name", "uuid": "a UUID",
		"date": "a date such as 2026-01-02", "time": "a time such as 03:04:05Z", "date-time": "a date and time such as 2026-01-02T03:04:05Z",
		dateLike: "a date such as 2026-01-02T03:04:05Z",
	}
	if w := words[format]; w != "" {
		return w
	}
	return "of the format " + format
}
