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

// mapped runs a case of a mapping: {"payload": …}, {"error": true} or {"error": "text in it"}.
func mapped(c, expect event.Value) (event.Value, []string) {
	payload, err := resolve(c)
	if err != nil {
		return failure(expect, err)
	}
	return success("payload", expect, payload)
}

func resolve(c event.Value) (event.Value, error) {
	m, err := mapping.Compile(c.Get("mapping"))
	if err != nil {
		return event.Value{}, &invalidCase{err: err}
	}
	return m.Resolve(c.Get("event"))
}

// query runs a case of a query: {"subscribed": true}, or {"error": …} for one that cannot be compiled.
func query(c, expect event.Value) (event.Value, []string) {
	q, err := fql.Compile(c.Get("subscribe").Str())
	if err != nil {
		return failure(expect, &invalidCase{err: err})
	}
	return success("subscribed", expect, event.NewBool(q.Match(c.Get("event"))))
}

// fields runs a case of fields: {"payload": …}, {"valid": false} or {"valid": ["/place", …]}.
func fields(c, expect event.Value) (event.Value, []string) {
	list, err := fieldschema.ParseFields(c.Get("fields"))
	if err != nil {
		return failure(expect, &invalidCase{err: err})
	}
	s, err := fieldschema.Compile(list)
	if err != nil {
		return failure(expect, &invalidCase{err: err})
	}
	payload := c.Get("payload")
	if payload.Kind() == event.Absent {
		if payload, err = resolve(c); err != nil {
			return failure(expect, err)
		}
	}
	processed, err := s.Process(payload)
	if err != nil {
		return invalid(expect, err)
	}
	return success("payload", expect, processed)
}

// invalid compares the places of an invalid payload.
func invalid(expect event.Value, err error) (event.Value, []string) {
	var places []event.Value
	for _, p := range fieldschema.ProblemsOf(err) {
		places = append(places, event.NewString(p.Pointer))
	}
	actual := object("valid", event.NewArray(places))
	want := expect.Get("valid")
	switch {
	case want.Kind() == event.False:
		return object("valid", want), nil
	case want.Kind() == event.Array && event.Equal(sorted(want), sorted(event.NewArray(places))):
		return object("valid", want), nil
	case want.Kind() == event.Array:
		return actual, []string{fmt.Sprintf("the invalid places differ\n  want %s\n  got  %s", want.JSON(), event.NewArray(places).JSON())}
	}
	return object("valid", event.NewBool(false)), []string{"the payload is not valid:\n" + indent(err.Error())}
}

// success compares what came with what stands at key.
func success(key string, expect, got event.Value) (event.Value, []string) {
	actual := object(key, got)
	want := expect.Get(key)
	if e := expect.Get("error"); e.Exists() && e.Kind() != event.False {
		return actual, []string{noErrorCame}
	}
	if want.Kind() == event.Absent && got.Kind() != event.Absent {
		return actual, []string{fmt.Sprintf("expected %s, but the case gave a %s:\n%s", expect.JSON(), key, indent(got.JSON()))}
	}
	if lines := diff("", want, got); len(lines) > 0 {
		return actual, []string{fmt.Sprintf("the %s differs\n%s", key, indent(strings.Join(lines, "\n")))}
	}
	return actual, nil
}

// failure compares an error: true takes any, a text must be part of it. The actual value is absent if --update has nothing to
// write: no error came, or the case itself is wrong and was not expected to be.
func failure(expect event.Value, err error) (actual event.Value, problems []string) {
	want := expect.Get("error")
	if want.Kind() != event.True && !want.IsString() {
		return unexpected(expect, err)
	}
	var invalid *invalidCase
	isInvalid := errors.As(err, &invalid)
	switch {
	case errors.Is(err, errNone):
		return event.Value{}, []string{noErrorCame}
	case want.IsString() && strings.Contains(err.Error(), want.Str()), want.Kind() == event.True && !(isInvalid && invalid.unknownName):
		return object("error", want), nil
	case isInvalid && invalid.unknownName:
		return event.Value{}, []string{cannotRun(err)}
	}
	return object("error", event.NewString(err.Error())), []string{fmt.Sprintf("the error should hold %q but is\n%s", want.Str(), indent(err.Error()))}
}

// unexpected is failure for a case that expects no error.
func unexpected(expect event.Value, err error) (actual event.Value, problems []string) {
	var invalid *invalidCase
	switch {
	case errors.Is(err, errNone):
		return object("error", expect.Get("error")), nil
	case errors.As(err, &invalid):
		return event.Value{}, []string{cannotRun(err)}
	}
	return object("error", event.NewBool(true)), []string{"an error came that was not expected\n" + indent(err.Error())}
}

const noErrorCame = "an error was expected, but none came"

func cannotRun(err error) string { return "the case cannot run\n" + indent(err.Error()) }

// invalidCase is an error of the case itself, found before any event is processed. An unknown name, such as a destination, an
// action or a setting that does not exist, is a typing mistake and satisfies no expectation but its own text.
type invalidCase struct {
	err         error
	unknownName bool
}

func (e *invalidCase) Error() string { return e.err.Error() }
func (e *invalidCase) Unwrap() error { return e.err }

func object(key string, v event.Value) event.Value {
	return event.NewObject([]event.Member{{Key: key, Value: v}})
}

func indent(text string) string { return "  " + strings.ReplaceAll(text, "\n", "\n  ") }
