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

// ProblemsOf returns the problems that an error of Process or Validate contains.
func ProblemsOf(err error) fault.Problems {
	var e *fault.Error
	if errors.As(err, &e) && e.Err != nil {
		return fault.ProblemsOf(e.Err)
	}
	return fault.ProblemsOf(err)
}

// explain validates a payload with the JSON Schema. It returns nil if the payload is valid.
func (s *Schema) explain(payload event.Value) error {
	err := s.validator.Validate(payload.Any())
	if err == nil {
		return nil
	}
	var wrong *jsonschema.ValidationError
	if !errors.As(err, &wrong) {
		return fault.Invalid("%v", err)
	}
	x := explainer{schema: s, payload: payload}
	x.addLeaves(wrong)
	slices.SortFunc(x.problems, func(a, b fault.Problem) int {
		return cmp.Or(cmp.Compare(a.Pointer, b.Pointer), cmp.Compare(a.Message, b.Message))
	})
	x.problems = slices.Compact(x.problems)
	messages := make([]string, len(x.problems))
	for i, p := range x.problems {
		messages[i] = p.Message
	}
	return &fault.Error{
		Code: fault.CodeInvalidPayload, Status: http.StatusBadRequest, Pointer: x.problems[0].Pointer,
		Message: strings.Join(messages, "; "), Err: x.problems,
	}
}

// explainer turns validation errors into messages that use the labels of the fields.
type explainer struct {
	schema   *Schema
	payload  event.Value
	problems fault.Problems
}

// addLeaves adds a problem for each error that has no causes.
func (x *explainer) addLeaves(err *jsonschema.ValidationError) {
	if len(err.Causes) > 0 {
		for _, cause := range err.Causes {
			x.addLeaves(cause)
		}
		return
	}
	keyword := err.KeywordLocation[strings.LastIndexByte(err.KeywordLocation, '/')+1:]
	_, fragment, _ := strings.Cut(err.AbsoluteKeywordLocation, "#")
	if decoded, unescapeErr := url.PathUnescape(fragment); unescapeErr == nil {
		fragment = decoded
	}
	x.addProblem(err.InstanceLocation, keyword, x.schema.jsonSchema.At(fragment))
}

func (x *explainer) addProblem(pointer, keyword string, want event.Value) {
	got, f, label := x.payload.At(pointer), x.schema.fieldAt(pointer), x.schema.labelAt(pointer)
	switch keyword {
	case "required":
		for _, key := range want.Items() {
			if got.Get(key.Str()).Kind() == event.Absent {
				inner := pointer + fault.PointerKey(key.Str())
				x.problems.Add(inner, "%s is required but missing", x.schema.labelAt(inner))
			}
		}
	case "type":
		x.problems.Add(pointer, "%s should be %s but is %s", label, joinKinds(want), formatValue(f, got))
	case "enum":
		x.problems.Add(pointer, "%s should be %s but is %s", label, joinValues(want), formatValue(f, got))
	case "format":
		x.problems.Add(pointer, "%s should be %s but is %s%s", label, describeFormat(want.Str()), formatValue(f, got), timeReason(want.Str(), got))
	case "minimum":
		x.problems.Add(pointer, "%s should be at least %s but is %s", label, want.JSON(), formatValue(f, got))
	case "maximum":
		x.problems.Add(pointer, "%s should be at most %s but is %s", label, want.JSON(), formatValue(f, got))
	case "minLength":
		x.problems.Add(pointer, "%s should have at least %s characters but is %s", label, want.JSON(), formatValue(f, got))
	case "maxLength":
		x.problems.Add(pointer, "%s should have at most %s characters but is %s", label, want.JSON(), formatValue(f, got))
	case "additionalProperties":
		x.problems.Add(pointer, "%s has a key that is none of its fields", label)
	default:
		x.problems.Add(pointer, "%s is not allowed", label)
	}
}

// fieldAt returns the innermost field at a JSON pointer into a payload, or nil.
func (s *Schema) fieldAt(pointer string) *Field {
	fields, found := s.fields, (*Field)(nil)
	for _, step := range event.PointerSteps(pointer) {
		if f := fields.Get(step); f != nil {
			found, fields = f, f.Properties
		}
	}
	return found
}

// labelAt describes a JSON pointer by the labels of the fields on its path, for example: User Alias › Alias Name, Tags 2.
func (s *Schema) labelAt(pointer string) string {
	var labels []string
	fields := s.fields
	for _, step := range event.PointerSteps(pointer) {
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

// formatValue returns a value for a message, truncated. It does not reveal the value of a password field.
func formatValue(f *Field, v event.Value) string {
	const maxLen = 60
	switch {
	case f != nil && f.Type == Password && v.IsString():
		return "another text"
	case v.Kind() == event.Array || v.Kind() == event.Object:
		return v.Kind().WithArticle()
	case f != nil && f.Type == Password:
		return v.Kind().WithArticle()
	}
	text := fault.Shorten(v.JSON(), maxLen)
	if v.IsString() {
		return "the text " + text
	}
	return text
}

func joinKinds(want event.Value) string {
	if want.IsString() {
		return kindWithArticle(want.Str())
	}
	var kinds []string
	for _, kind := range want.Items() {
		kinds = append(kinds, kindWithArticle(kind.Str()))
	}
	return strings.Join(kinds, " or ")
}

// kindWithArticle returns a JSON type with its article. null has none.
func kindWithArticle(kind string) string {
	if kind == "null" {
		return kind
	}
	return fault.WithArticle(kind)
}

// joinValues lists at most ten choices.
func joinValues(want event.Value) string {
	const maxChoices = 10
	var values []string
	for i, v := range want.Items() {
		if i == maxChoices {
			values = append(values, fmt.Sprintf("one of %d others", want.Len()-maxChoices))
			break
		}
		values = append(values, v.JSON())
	}
	return strings.Join(values, ", ")
}

// timeReason returns, in parentheses, why a value of a datetime field cannot be read as a time.
func timeReason(format string, v event.Value) string {
	var mistake *event.TimeError
	if _, err := event.ReadTime(v); format != dateLike || !errors.As(err, &mistake) {
		return ""
	}
	return " (" + mistake.Reason + ")"
}

func describeFormat(format string) string {
	if f := findFormat(format); f != nil {
		return f.summary
	}
	return "of the format " + format
}
