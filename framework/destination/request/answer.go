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

// answer is how an answer is read.
type answer struct {
	messages []event.Path // where a refusal says why; the first that says anything counts
	retry    []int        // statuses that may pass, beside those of the table
	errors   *errorList   // nil where the answer is for all payloads alike
	choices  *choiceList  // nil where it is none of choices
}

// list is where a list stands in an answer, and which of its entries count.
type list struct {
	path          event.Path
	where, unless *event.Path // an entry counts where there is something at where, and nothing that JavaScript takes for true at unless
}

// errorList is the errors of single payloads.
type errorList struct {
	list
	index      *event.Path // nil: the place in the list
	base       int
	message    []event.Path
	code       *event.Path
	status     *event.Path
	retryCodes []string
}

// choiceList is the choices of a field.
type choiceList struct {
	list
	label, value, description, next *event.Path
}

func (c *compiler) answer(v event.Value, place string) answer {
	a := answer{messages: paths(v.Get("message"))}
	for i, status := range v.Get("retry").Items() {
		n := int(status.Int())
		if n < 300 || n > 999 {
			c.problems.Add(place+"/retry/"+strconv.Itoa(i), "should be a status from 300 to 999 but is %s", status.JSON())
		}
		a.retry = append(a.retry, n)
	}
	if e := v.Get("errors"); e.Exists() {
		a.errors = &errorList{
			list: listOf(e), index: path(e.Get("index")), base: int(e.Get("base").Int()), message: paths(e.Get("message")),
			code: path(e.Get("code")), status: path(e.Get("status")),
		}
		for _, code := range e.Get("retryCodes").Items() {
			a.errors.retryCodes = append(a.errors.retryCodes, code.Text())
		}
		if a.errors.code == nil && len(a.errors.retryCodes) > 0 {
			c.problems.Add(place+"/errors/retryCodes", "needs code, the path at which an error says its code")
		}
	}
	if l := v.Get("choices"); l.Exists() {
		if _, ok := c.names[Page]; !ok {
			c.problems.Add(place+"/choices", "belongs to the requests of dynamicFields only")
		}
		a.choices = &choiceList{list: listOf(l), label: path(l.Get("label")), value: path(l.Get("value")), description: path(l.Get("description")), next: path(l.Get("next"))}
	}
	return a
}

func listOf(v event.Value) list {
	return list{path: event.NewPath(v.Get("path").Str()), where: path(v.Get("where")), unless: path(v.Get("unless"))}
}

func path(v event.Value) *event.Path {
	if !v.IsString() {
		return nil
	}
	p := event.NewPath(v.Str())
	return &p
}

// paths is one path, or several.
func paths(v event.Value) []event.Path {
	if v.IsString() {
		return []event.Path{event.NewPath(v.Str())}
	}
	var list []event.Path
	for _, item := range v.Items() {
		list = append(list, event.NewPath(item.Str()))
	}
	return list
}

// stands tells whether there is something: not nothing, null, false or "".
func stands(v event.Value) bool {
	return v.Exists() && v.Kind() != event.False && (!v.IsString() || v.Str() != "")
}

// entries are the entries of a list that count, by their places.
func (l list) entries(body event.Value, each func(i int, entry event.Value)) {
	for i, entry := range l.path.Read(body).Items() {
		if (l.where == nil || stands(l.where.Read(entry))) && (l.unless == nil || l.unless.Read(entry).Falsy()) {
			each(i, entry)
		}
	}
}

func first(list []event.Path, v event.Value) string {
	for _, p := range list {
		if text := p.Read(v); text.Exists() && text.Text() != "" {
			return text.Text()
		}
	}
	return ""
}

// Refusal is what a refusal says at the paths of the request's response; "" where it says nothing there.
func (r *Request) Refusal(body event.Value) string { return first(r.answer.messages, body) }

// Retries tells whether a status may pass though the table of statuses says otherwise.
func (r *Request) Retries(status int) bool { return slices.Contains(r.answer.retry, status) }

// Errors returns the errors of single payloads in the answer to a request of n payloads, by the payload's index. An error
// that cannot be assigned to a payload is returned as rest: it holds for every payload without an error of its own. What
// stands at the path of the errors but is not a list, such as an object or a text, cannot be assigned either; only a missing
// or null value, an empty list and an empty object mean that there are no errors.
func (r *Request) Errors(status int, body event.Value, n int) (errors map[int]*fault.Error, rest *fault.Error) {
	e := r.answer.errors
	if e == nil {
		return nil, nil
	}
	errors = map[int]*fault.Error{}
	if v := e.path.Read(body); v.Exists() && v.Kind() != event.Array && !(v.Kind() == event.Object && v.Len() == 0) {
		return errors, r.errorOf(v, status)
	}
	e.entries(body, func(i int, entry event.Value) {
		err := r.errorOf(entry, status)
		if e.index != nil {
			i = indexOf(e.index.Read(entry), e.base)
		}
		if i < 0 || i >= n {
			rest = err
		} else if errors[i] == nil {
			errors[i] = err
		}
	})
	return errors, rest
}

// indexOf is the index that an error gives, as a number or in digits; -1 where it gives none.
func indexOf(v event.Value, base int) int {
	n, err := strconv.Atoi(v.Text())
	if err != nil || v.Kind() != event.Number && v.Kind() != event.String {
		return -1
	}
	return n - base
}

func (r *Request) errorOf(entry event.Value, whole int) *fault.Error {
	e := r.answer.errors
	status := http.StatusBadRequest
	if whole >= 400 {
		status = whole
	}
	if e.status != nil {
		if n, err := strconv.Atoi(e.status.Read(entry).Text()); err == nil && n >= 400 && n < 600 {
			status = n
		}
	}
	message, code := first(e.message, entry), ""
	if e.code != nil {
		code = e.code.Read(entry).Text()
	}
	if text := strings.TrimPrefix(code+": "+message, ": "); message != "" {
		message = text
	} else if message = code; message == "" {
		message = cmp.Or(entry.Text(), entry.JSON())
	}
	err := fault.FromStatus(status, message)
	err.Retry = err.Retry || r.Retries(status) || code != "" && slices.Contains(e.retryCodes, code)
	return err
}

// Choice is one value that a field may have.
type Choice struct{ Label, Value, Description string }

// Choices are the choices in an answer, and where the next page begins; "" where there is none. Where the request does not
// say what is looked for, those that do not hold it are left out.
func (r *Request) Choices(body event.Value, query string) (choices []Choice, next string) {
	l := r.answer.choices
	if l == nil {
		return nil, ""
	}
	l.entries(body, func(_ int, entry event.Value) {
		c := Choice{Value: at(l.value, entry)}
		if c.Label = c.Value; l.label != nil && at(l.label, entry) != "" {
			c.Label = at(l.label, entry)
		}
		if l.description != nil {
			c.Description = at(l.description, entry)
		}
		if r.asks || contains(c.Label, query) || contains(c.Value, query) {
			choices = append(choices, c)
		}
	})
	if l.next != nil {
		next = at(l.next, body)
	}
	return choices, next
}

// at is the text at a path, of the whole where there is none.
func at(p *event.Path, v event.Value) string {
	if p != nil {
		v = p.Read(v)
	}
	return v.Text()
}

func contains(text, part string) bool {
	return strings.Contains(strings.ToLower(text), strings.ToLower(part))
}
