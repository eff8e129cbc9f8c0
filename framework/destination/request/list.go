package request

import (
	"fmt"
	"maps"
	"slices"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/language/mapping"
)

// The members of a scope in the mappings of a List, besides those of its request.
const (
	lineName  = "line"  // a line of a response that is text
	valueName = "value" // the value of an identifier
)

// List is a request, or several steps, for a page of the members of an audience.
type List struct {
	*Request
	users, next *mapping.Mapping            // of the last response; users is nil if it is text
	line        *mapping.Mapping            // the user in a line of a response that is text; nil if it is JSON
	compareAs   map[string]*mapping.Mapping // by identifier
}

// CompileList compiles how the members of an audience are listed. The error is a fault.Problems with JSON pointers into v.
func CompileList(v event.Value, names Names) (*List, error) {
	c := newCompiler(names)
	c.names[Page] = nil
	c.isCall = true
	for _, part := range []string{"batch", "refuse"} {
		if v.Get("request").Get(part).Exists() {
			c.problems.Add("/"+part, "is only allowed in requests for payloads")
		}
	}
	l := &List{Request: c.compileRequest(v.Get("request")), compareAs: map[string]*mapping.Mapping{}}
	var problems fault.Problems
	problems.AddUnder("/request", c.problems.Err())
	c.problems = nil
	switch isText := v.Get("line").Exists(); {
	case isText == v.Get("users").Exists():
		c.problems.Add("", "needs users, or line if the response is text")
	case isText && (v.Get("next").Exists() || len(l.Steps()) > 0):
		c.problems.Add("/line", "cannot go with next and steps: the text has all users")
	}
	compile := func(m event.Value, place, own string, names ...string) *mapping.Mapping {
		part := c.subCompiler(names...)
		part.names[own] = nil
		defer func() { c.mergeFrom(part) }()
		return part.compileMapping(m, place)
	}
	l.users = compile(v.Get("users"), "/users", bodyName, Settings, Audience, Page, Answers)
	l.next = compile(v.Get("next"), "/next", bodyName, Settings, Audience, Page, Answers)
	l.line = compile(v.Get("line"), "/line", lineName, Settings, Audience)
	for key, m := range v.Get("compareAs").Members() {
		l.compareAs[key] = compile(m, "/compareAs"+fault.PointerKey(key), valueName, Settings)
	}
	return l, append(problems, c.problems...).Err()
}

// IsText reports whether the response is text with one user in each line.
func (l *List) IsText() bool { return l.line != nil }

// Users returns the users of a page, each an object with its identifiers, and the page that follows or "". A response without a list of
// users is an error, because it does not say that there are none.
func (l *List) Users(scope event.Value, answers []event.Member, body event.Value) (users event.Value, next string, err error) {
	scope = withMembers(scope, event.Member{Key: Answers, Value: event.NewObject(answers)}, event.Member{Key: bodyName, Value: body})
	users, err = l.users.Resolve(scope)
	if err == nil && users.Kind() != event.Array {
		err = fmt.Errorf("it is %s", users.Kind().WithArticle())
	}
	if err != nil {
		return users, "", fault.Invalid("the response has no list of users: %v", err)
	}
	if l.next == nil {
		return users, "", nil
	}
	page, err := l.next.Resolve(scope)
	return users, page.Text(), err
}

// LineUser returns the user in a line of a response that is text, as an object.
func (l *List) LineUser(scope event.Value, line string) (event.Value, error) {
	return l.line.Resolve(withMembers(scope, event.Member{Key: lineName, Value: event.NewString(line)}))
}

// ComparedIdentifiers returns the identifiers whose values are compared in another form.
func (l *List) ComparedIdentifiers() []string { return slices.Sorted(maps.Keys(l.compareAs)) }

// CompareAs returns the form in which the value of an identifier is compared.
func (l *List) CompareAs(settings event.Value, identifier, value string) (string, error) {
	m := l.compareAs[identifier]
	if m == nil {
		return value, nil
	}
	v, err := m.Resolve(event.NewObject([]event.Member{{Key: Settings, Value: settings}, {Key: valueName, Value: event.NewString(value)}}))
	return v.Text(), err
}
