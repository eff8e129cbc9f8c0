package request

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strconv"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/language/mapping"
)

// responseSpec says how a response is read.
type responseSpec struct {
	messages      []event.Path // paths of the error message; the first with a value counts
	retryStatuses []int        // statuses that are retryable besides the usual ones
	accepted      []int        // statuses outside of 2xx that are no failure
	delivered     int          // the status of payloads that the remote has taken; 0 for that of the response
	failures      []failureRule
	errors        []*errorList // lists of errors of single payloads
	graphql       *graphQL     // nil if the API is not one of GraphQL
	choices       *choiceList  // nil if the response contains no choices
}

// entryList locates a list in a response and selects its entries.
type entryList struct {
	path          event.Path
	where, unless *event.Path // an entry counts if it has a value at where, and no value that JavaScript considers true at unless
}

// failureRule finds responses that report a failure with a status of success.
type failureRule struct {
	when, message *mapping.Mapping
	status        int
	retry         bool
}

func (c *compiler) compileResponse(v event.Value, place string) responseSpec {
	a := responseSpec{messages: pathList(v.Get("message"))}
	a.retryStatuses = c.compileStatuses(v.Get("retry"), place+"/retry")
	a.accepted = c.compileStatuses(v.Get("accept"), place+"/accept")
	a.delivered = int(v.Get("delivered").Int())
	a.failures = c.compileFailures(v.Get("failures"), place+"/failures")
	switch e := v.Get("errors"); e.Kind() {
	case event.Object:
		a.errors = append(a.errors, c.compileErrors(e, place+"/errors"))
	case event.Array:
		for i, item := range e.Items() {
			a.errors = append(a.errors, c.compileErrors(item, fmt.Sprintf("%s/errors/%d", place, i)))
		}
	}
	if a.graphql = c.compileGraphQL(v.Get("graphql"), a.errors, place+"/graphql"); a.graphql != nil && len(a.messages) == 0 {
		a.messages = []event.Path{event.NewPath("errors[0].message")}
	}
	a.choices = c.compileChoices(v.Get("choices"), place+"/choices")
	return a
}

// compileStatuses reads a list of statuses outside of 2xx.
func (c *compiler) compileStatuses(v event.Value, place string) []int {
	var statuses []int
	for i, status := range v.Items() {
		n := int(status.Int())
		if n < 300 || n > 999 {
			c.problems.Add(place+"/"+strconv.Itoa(i), "should be a status from 300 to 999 but is %s", status.JSON())
		}
		statuses = append(statuses, n)
	}
	return statuses
}

// The members of a scope in failures, besides settings.
const (
	statusName = "status" // of the response
	bodyName   = "body"   // absent if it is not JSON
	textName   = "text"   // the start of the body as text
)

// compileFailures compiles the rules that find failures in responses with a status of success.
func (c *compiler) compileFailures(list event.Value, place string) []failureRule {
	var rules []failureRule
	for i, v := range list.Items() {
		of, place := c.subCompiler(Settings), fmt.Sprintf("%s/%d", place, i)
		of.names[statusName], of.names[bodyName], of.names[textName] = nil, nil, nil
		retry, _ := v.Get("retry").Bool()
		rules = append(rules, failureRule{
			when: of.compileMapping(v.Get("when"), place+"/when"), message: of.compileMapping(v.Get("message"), place+"/message"),
			status: cmp.Or(int(v.Get("status").Int()), http.StatusBadRequest), retry: retry,
		})
		c.mergeFrom(of)
	}
	return rules
}

func entryListOf(v event.Value) entryList {
	return entryList{path: event.NewPath(v.Get("path").Str()), where: optionalPath(v.Get("where")), unless: optionalPath(v.Get("unless"))}
}

func optionalPath(v event.Value) *event.Path {
	if !v.IsString() {
		return nil
	}
	p := event.NewPath(v.Str())
	return &p
}

// pathList reads one path or a list of paths.
func pathList(v event.Value) []event.Path {
	if v.IsString() {
		return []event.Path{event.NewPath(v.Str())}
	}
	var list []event.Path
	for _, item := range v.Items() {
		list = append(list, event.NewPath(item.Str()))
	}
	return list
}

// isPresent reports whether v has a value other than null, false and "".
func isPresent(v event.Value) bool {
	return v.Exists() && v.Kind() != event.False && (!v.IsString() || v.Str() != "")
}

// accepts reports whether an entry counts.
func (l entryList) accepts(entry event.Value) bool {
	return (l.where == nil || isPresent(l.where.Read(entry))) && (l.unless == nil || l.unless.Read(entry).Falsy())
}

func firstText(list []event.Path, v event.Value) string {
	for _, p := range list {
		if text := p.Read(v); text.Exists() && text.Text() != "" {
			return text.Text()
		}
	}
	return ""
}

// ErrorMessage returns the message of an error response; "" if it has none at the declared paths.
func (r *Request) ErrorMessage(body event.Value) string { return firstText(r.response.messages, body) }

// IsRetryable reports whether the definition declares a status as retryable.
func (r *Request) IsRetryable(status int) bool {
	return slices.Contains(r.response.retryStatuses, status)
}

// DeliveredStatus returns the status of payloads that the remote has taken; 0 stands for that of the response.
func (r *Request) DeliveredStatus() int { return r.response.delivered }

// Accepts reports whether the definition declares a status outside of 2xx as no failure.
func (r *Request) Accepts(status int) bool { return slices.Contains(r.response.accepted, status) }

// Answer is a response to read.
type Answer struct {
	Status int
	Body   event.Value   // absent if it is not JSON
	Text   func() string // returns the start of the body
}

// Failure returns the failure that a response with a status of success reports for the request as a whole; nil if it reports none.
func (r *Request) Failure(a Answer, settings event.Value) *fault.Error {
	if e := r.response.graphql.failure(a.Body); e != nil {
		return e
	}
	if len(r.response.failures) == 0 {
		return nil
	}
	text := a.Text()
	scope := event.NewObject([]event.Member{
		{Key: Settings, Value: settings}, {Key: statusName, Value: event.NewInt(int64(a.Status))}, {Key: bodyName, Value: a.Body}, {Key: textName, Value: event.NewString(text)},
	})
	for _, rule := range r.response.failures {
		v, err := rule.when.Resolve(scope)
		if err == nil && v.Falsy() {
			continue
		}
		message := ""
		if err == nil {
			message, err = resolveText(rule.message, scope)
		}
		if err != nil { // the answer has another form than the rule expects: it is not known what the remote took
			return fault.As(err)
		}
		e := fault.FromStatus(rule.status, cmp.Or(message, text))
		e.Retry = e.Retry || rule.retry
		return e
	}
	return nil
}

// textAt returns the text at a path, or of v if p is nil.
func textAt(p *event.Path, v event.Value) string {
	if p != nil {
		v = p.Read(v)
	}
	return v.Text()
}
