package harness

import (
	"errors"
	"fmt"
	"strings"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/language/fieldschema"
	"github.com/landfall-dev/landfall/framework/language/fql"
	"github.com/landfall-dev/landfall/framework/language/mapping"
)

// runMapping runs a case of a mapping: {"payload": …}, {"error": true} or {"error": "text in it"}.
func runMapping(c, expect event.Value) (event.Value, []string) {
	payload, err := resolveMapping(c)
	if err != nil {
		return compareError(expect, err)
	}
	return compareValue("payload", expect, payload)
}

func resolveMapping(c event.Value) (event.Value, error) {
	m, err := mapping.Compile(c.Get("mapping"))
	if err != nil {
		return event.Value{}, &invalidCase{err: err}
	}
	return m.Resolve(c.Get("event"))
}

// runQuery runs a case of a query: {"subscribed": true}, or {"error": …} for one that cannot be compiled.
func runQuery(c, expect event.Value) (event.Value, []string) {
	q, err := fql.Compile(c.Get("subscribe").Str())
	if err != nil {
		return compareError(expect, &invalidCase{err: err})
	}
	return compareValue("subscribed", expect, event.NewBool(q.Match(c.Get("event"))))
}

// runFields runs a case of fields: {"payload": …}, {"valid": false} or {"valid": ["/place", …]}.
func runFields(c, expect event.Value) (event.Value, []string) {
	list, err := fieldschema.ParseFields(c.Get("fields"))
	if err != nil {
		return compareError(expect, &invalidCase{err: err})
	}
	s, err := fieldschema.Compile(list)
	if err != nil {
		return compareError(expect, &invalidCase{err: err})
	}
	payload := c.Get("payload")
	if payload.Kind() == event.Absent {
		if payload, err = resolveMapping(c); err != nil {
			return compareError(expect, err)
		}
	}
	processed, err := s.Process(payload)
	if err != nil {
		return compareInvalid(expect, err)
	}
	return compareValue("payload", expect, processed)
}

// compareInvalid compares the places at which a payload is invalid with the expected ones.
func compareInvalid(expect event.Value, err error) (event.Value, []string) {
	var places []event.Value
	for _, p := range fieldschema.ProblemsOf(err) {
		places = append(places, event.NewString(p.Pointer))
	}
	actual := objectOf("valid", event.NewArray(places))
	want := expect.Get("valid")
	switch {
	case want.Kind() == event.False:
		return objectOf("valid", want), nil
	case want.Kind() == event.Array && event.Equal(sortStrings(want), sortStrings(event.NewArray(places))):
		return objectOf("valid", want), nil
	case want.Kind() == event.Array:
		return actual, []string{fmt.Sprintf("the invalid places differ\n  want %s\n  got  %s", want.JSON(), event.NewArray(places).JSON())}
	}
	return objectOf("valid", event.NewBool(false)), []string{"the payload is not valid:\n" + indentLines(err.Error())}
}

// compareValue compares a value with the one that expect has at key.
func compareValue(key string, expect, got event.Value) (event.Value, []string) {
	actual := objectOf(key, got)
	want := expect.Get(key)
	if e := expect.Get("error"); e.Exists() && e.Kind() != event.False {
		return actual, []string{noErrorOccurred}
	}
	if want.Kind() == event.Absent && got.Kind() != event.Absent {
		return actual, []string{fmt.Sprintf("expected %s, but the case gave a %s:\n%s", expect.JSON(), key, indentLines(got.JSON()))}
	}
	if lines := linesOf(diffValues("", want, got)); len(lines) > 0 {
		return actual, []string{fmt.Sprintf("the %s differs\n%s", key, indentLines(strings.Join(lines, "\n")))}
	}
	return actual, nil
}

// compareError compares an error with the expected one: true matches any error, a text must be part of it. The actual value is
// absent if --update has nothing to write: no error occurred, or the case itself is invalid unexpectedly.
func compareError(expect event.Value, err error) (actual event.Value, problems []string) {
	want := expect.Get("error")
	if want.Kind() != event.True && !want.IsString() {
		return unexpectedError(expect, err)
	}
	var invalid *invalidCase
	isInvalid := errors.As(err, &invalid)
	switch {
	case errors.Is(err, errNone):
		return event.Value{}, []string{noErrorOccurred}
	case want.IsString() && strings.Contains(err.Error(), want.Str()), want.Kind() == event.True && !(isInvalid && invalid.unknownName):
		return objectOf("error", want), nil
	case isInvalid && invalid.unknownName:
		return event.Value{}, []string{cannotRun(err)}
	}
	return objectOf("error", event.NewString(err.Error())), []string{fmt.Sprintf("the error should hold %q but is\n%s", want.Str(), indentLines(err.Error()))}
}

// unexpectedError is compareError for a case that expects no error.
func unexpectedError(expect event.Value, err error) (actual event.Value, problems []string) {
	var invalid *invalidCase
	switch {
	case errors.Is(err, errNone):
		return objectOf("error", expect.Get("error")), nil
	case errors.As(err, &invalid):
		return event.Value{}, []string{cannotRun(err)}
	}
	return objectOf("error", event.NewBool(true)), []string{"unexpected error\n" + indentLines(err.Error())}
}

const noErrorOccurred = "an error was expected, but none occurred"

func cannotRun(err error) string { return "the case cannot run\n" + indentLines(err.Error()) }

// invalidCase is an error in the case itself, found before any event is processed. An unknown name (a destination, an action or a
// setting that does not exist) is probably a typo, so only an expectation with the error's text accepts it.
type invalidCase struct {
	err         error
	unknownName bool
}

func (e *invalidCase) Error() string { return e.err.Error() }
func (e *invalidCase) Unwrap() error { return e.err }

func objectOf(key string, v event.Value) event.Value {
	return event.NewObject([]event.Member{{Key: key, Value: v}})
}

func indentLines(text string) string { return "  " + strings.ReplaceAll(text, "\n", "\n  ") }
