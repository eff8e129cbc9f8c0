package request

import (
	"cmp"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
)

// responseSpec says how a response is read.
type responseSpec struct {
	messages      []event.Path // paths of the error message; the first with a value counts
	retryStatuses []int        // statuses that are retryable besides the usual ones
	errors        *errorList   // nil if responses have no errors of single payloads
	choices       *choiceList  // nil if the response contains no choices
}

// entryList locates a list in a response and selects its entries.
type entryList struct {
	path          event.Path
	where, unless *event.Path // an entry counts if it has a value at where, and no value that JavaScript considers true at unless
}

// errorList locates the errors of single payloads.
type errorList struct {
	entryList
	index      *event.Path // nil: the index in the list
	base       int
	message    []event.Path
	code       *event.Path
	status     *event.Path
	retryCodes []string
}

// choiceList locates the choices of a field.
type choiceList struct {
	entryList
	label, value, description, next *event.Path
}

func (c *compiler) compileResponse(v event.Value, place string) responseSpec {
	a := responseSpec{messages: pathList(v.Get("message"))}
	for i, status := range v.Get("retry").Items() {
		n := int(status.Int())
		if n < 300 || n > 999 {
			c.problems.Add(place+"/retry/"+strconv.Itoa(i), "should be a status from 300 to 999 but is %s", status.JSON())
		}
		a.retryStatuses = append(a.retryStatuses, n)
	}
	if e := v.Get("errors"); e.Exists() {
		a.errors = &errorList{
			entryList: entryListOf(e), index: optionalPath(e.Get("index")), base: int(e.Get("base").Int()), message: pathList(e.Get("message")),
			code: optionalPath(e.Get("code")), status: optionalPath(e.Get("status")),
		}
		for _, code := range e.Get("retryCodes").Items() {
			a.errors.retryCodes = append(a.errors.retryCodes, code.Text())
		}
		if a.errors.code == nil && len(a.errors.retryCodes) > 0 {
			c.problems.Add(place+"/errors/retryCodes", "needs code, the path of the code in an error")
		}
	}
	if l := v.Get("choices"); l.Exists() {
		if _, ok := c.names[Page]; !ok {
			c.problems.Add(place+"/choices", "is only allowed in requests of dynamicFields")
		}
		a.choices = &choiceList{entryList: entryListOf(l), label: optionalPath(l.Get("label")), value: optionalPath(l.Get("value")), description: optionalPath(l.Get("description")), next: optionalPath(l.Get("next"))}
	}
	return a
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

// eachEntry calls each for the entries of the list that count.
func (l entryList) eachEntry(body event.Value, each func(i int, entry event.Value)) {
	for i, entry := range l.path.Read(body).Items() {
		if (l.where == nil || isPresent(l.where.Read(entry))) && (l.unless == nil || l.unless.Read(entry).Falsy()) {
			each(i, entry)
		}
	}
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

// PayloadErrors returns the errors of single payloads in the response to a request with n payloads, by payload index. An error
// that cannot be assigned to a payload is returned as rest; it applies to every payload without an error of its own. A value at
// the path of the errors that is not a list, such as an object or a text, cannot be assigned either. A missing or null value,
// an empty list and an empty object mean that there are no errors.
func (r *Request) PayloadErrors(status int, body event.Value, n int) (errors map[int]*fault.Error, rest *fault.Error) {
	e := r.response.errors
	if e == nil {
		return nil, nil
	}
	errors = map[int]*fault.Error{}
	if v := e.path.Read(body); v.Exists() && v.Kind() != event.Array && !(v.Kind() == event.Object && v.Len() == 0) {
		return errors, r.payloadError(v, status)
	}
	e.eachEntry(body, func(i int, entry event.Value) {
		err := r.payloadError(entry, status)
		if e.index != nil {
			i = payloadIndex(e.index.Read(entry), e.base)
		}
		if i < 0 || i >= n {
			rest = err
		} else if errors[i] == nil {
			errors[i] = err
		}
	})
	return errors, rest
}

// payloadIndex returns the index in an error, given as a number or in digits, or -1.
func payloadIndex(v event.Value, base int) int {
	n, err := strconv.Atoi(v.Text())
	if err != nil || v.Kind() != event.Number && v.Kind() != event.String {
		return -1
	}
	return n - base
}

func (r *Request) payloadError(entry event.Value, whole int) *fault.Error {
	e := r.response.errors
	status := http.StatusBadRequest
	if whole >= 400 {
		status = whole
	}
	if e.status != nil {
		if n, err := strconv.Atoi(e.status.Read(entry).Text()); err == nil && n >= 400 && n < 600 {
			status = n
		}
	}
	message, code := firstText(e.message, entry), ""
	if e.code != nil {
		code = e.code.Read(entry).Text()
	}
	if text := strings.TrimPrefix(code+": "+message, ": "); message != "" {
		message = text
	} else if message = code; message == "" {
		message = cmp.Or(entry.Text(), entry.JSON())
	}
	err := fault.FromStatus(status, message)
	err.Retry = err.Retry || r.IsRetryable(status) || code != "" && slices.Contains(e.retryCodes, code)
	return err
}

// Choice is one value of a dynamic field.
type Choice struct{ Label, Value, Description string }

// Choices returns the choices in a response, and the next page or "". If the request does not use query, choices that do not
// contain it are dropped.
func (r *Request) Choices(body event.Value, query string) (choices []Choice, next string) {
	l := r.response.choices
	if l == nil {
		return nil, ""
	}
	l.eachEntry(body, func(_ int, entry event.Value) {
		c := Choice{Value: textAt(l.value, entry)}
		if c.Label = c.Value; l.label != nil && textAt(l.label, entry) != "" {
			c.Label = textAt(l.label, entry)
		}
		if l.description != nil {
			c.Description = textAt(l.description, entry)
		}
		if r.usesQuery || containsFold(c.Label, query) || containsFold(c.Value, query) {
			choices = append(choices, c)
		}
	})
	if l.next != nil {
		next = textAt(l.next, body)
	}
	return choices, next
}

// textAt returns the text at a path, or of v if p is nil.
func textAt(p *event.Path, v event.Value) string {
	if p != nil {
		v = p.Read(v)
	}
	return v.Text()
}

func containsFold(text, part string) bool {
	return strings.Contains(strings.ToLower(text), strings.ToLower(part))
}
