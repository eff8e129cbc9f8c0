package request

import (
	"cmp"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/language/mapping"
)

// errorList locates the errors of single payloads.
type errorList struct {
	entryList
	index      *event.Path    // nil: the index in the list
	pattern    *regexp.Regexp // its first group is the index in the text at index; nil if the text is the index
	base       int
	message    []event.Path
	code       *event.Path
	status     *event.Path
	retryCodes []string
	reason     string           // a text before the message; "" for none
	match      *mapping.Mapping // the value of a payload that its error has at key; nil if errors have indexes
	key        *event.Path      // nil: the entry itself, or its key in an object
	missing    string           // what happens to payloads that no entry mentions: "fail" or "retry"; "" for delivered
	retryRest  bool             // payloads without an error of their own are retried if the response is an error
}

// compileErrors compiles a list of errors of single payloads.
func (c *compiler) compileErrors(e event.Value, place string) *errorList {
	l := &errorList{
		entryList: entryListOf(e), index: optionalPath(e.Get("index")), base: int(e.Get("base").Int()), message: pathList(e.Get("message")),
		code: optionalPath(e.Get("code")), status: optionalPath(e.Get("status")), key: optionalPath(e.Get("key")), retryRest: e.Get("others").Str() == "retry",
		missing: e.Get("missing").Str(), reason: e.Get("reason").Str(),
	}
	l.pattern = c.compilePattern(e.Get("indexPattern"), place+"/indexPattern")
	if l.pattern != nil && l.index == nil {
		c.problems.Add(place+"/indexPattern", "needs index, the path of the text that contains the index")
	}
	for _, code := range e.Get("retryCodes").Items() {
		l.retryCodes = append(l.retryCodes, code.Text())
	}
	if l.code == nil && len(l.retryCodes) > 0 {
		c.problems.Add(place+"/retryCodes", "needs code, the path of the code in an error")
	}
	of := c.subCompiler(Settings, Payload, SyncMode, Hooks, Audience)
	l.match = of.compileMapping(e.Get("match"), place+"/match")
	c.mergeFrom(of)
	switch {
	case l.match != nil && l.index != nil:
		c.problems.Add(place+"/match", "cannot go with index: errors have either")
	case l.match == nil && l.key != nil:
		c.problems.Add(place+"/key", "needs match, the value of a payload that the errors have at the key")
	}
	return l
}

// compilePattern compiles a regular expression with a group; nil if v is absent.
func (c *compiler) compilePattern(v event.Value, place string) *regexp.Regexp {
	if !v.IsString() {
		return nil
	}
	pattern, err := regexp.Compile(v.Str())
	if err != nil || pattern.NumSubexp() == 0 {
		c.problems.Add(place, "should be a regular expression with a group, such as /data/([0-9]+), but is %q", v.Str())
		return nil
	}
	return pattern
}

// RetriesRest reports whether payloads without an error of their own are retried if the response is an error that names others.
func (r *Request) RetriesRest() bool {
	return slices.ContainsFunc(r.response.errors, func(l *errorList) bool { return l.retryRest })
}

// PayloadErrors returns the errors of single payloads in the response to a request, by payload index. n is the number of payloads;
// scopeOf returns a scope with settings and a payload. An error that cannot be assigned to a payload is returned as rest; it applies to
// every payload without an error of its own. A value at the path of the errors that is not a list, such as an object or a text, cannot be
// assigned either, unless its keys are matched. A missing or null value, an empty list and an empty object mean that there are no errors.
func (r *Request) PayloadErrors(a Answer, n int, scopeOf func(i int) event.Value) (errors map[int]*fault.Error, rest *fault.Error) {
	if len(r.response.errors) == 0 {
		return nil, nil
	}
	p := placedErrors{r: r, status: a.Status, n: n, scopeOf: scopeOf, byIndex: map[int]*fault.Error{}}
	for _, l := range r.response.errors {
		p.mentioned = map[int]bool{}
		p.addList(l, a.Body)
		if l.missing != "" && a.Status < http.StatusMultipleChoices {
			p.addMissing(l)
		}
	}
	return p.byIndex, p.rest
}

// placedErrors assigns errors to payloads.
type placedErrors struct {
	r       *Request
	status  int
	n       int // the number of payloads
	scopeOf func(i int) event.Value
	byIndex map[int]*fault.Error
	rest    *fault.Error

	mentioned map[int]bool // the payloads that the entries of the current list are about
}

func (p *placedErrors) addList(l *errorList, body event.Value) {
	v := l.path.Read(body)
	switch {
	case l.match != nil && (v.Kind() == event.Object || v.Kind() == event.Array):
		p.addMatches(l, v)
	case v.Exists() && v.Kind() != event.Array && !(v.Kind() == event.Object && v.Len() == 0):
		p.rest = p.r.payloadError(l, v, p.status)
	default:
		for i, entry := range v.Items() {
			if l.index != nil {
				i = l.payloadIndex(l.index.Read(entry))
			}
			p.addEntry(l, entry, i)
		}
	}
}

// addMatches assigns errors that name payloads by a value: the entries of a list by the value at their key, those of an object by
// their key.
func (p *placedErrors) addMatches(l *errorList, v event.Value) {
	if v.Len() == 0 {
		return
	}
	places := map[string][]int{}
	for i := range p.n {
		text, err := resolveText(l.match, p.scopeOf(i))
		if err == nil && text != "" {
			places[text] = append(places[text], i)
		}
	}
	for _, entry := range v.Items() {
		p.addEntry(l, entry, places[textAt(l.key, entry)]...)
	}
	for key, entry := range v.Members() {
		p.addEntry(l, entry, places[key]...)
	}
}

// addEntry assigns an entry to payloads, and its error if it is one.
func (p *placedErrors) addEntry(l *errorList, entry event.Value, places ...int) {
	for _, i := range places {
		p.mentioned[i] = true
	}
	if l.accepts(entry) && !l.isSuccess(entry) {
		p.addError(p.r.payloadError(l, entry, p.status), places...)
	}
}

// addMissing assigns an error to the payloads that no entry mentions: the response does not say whether they were accepted.
func (p *placedErrors) addMissing(l *errorList) {
	status := http.StatusBadRequest
	if l.missing == "retry" {
		status = http.StatusBadGateway
	}
	for i := range p.n {
		if !p.mentioned[i] && p.rest == nil {
			p.addError(fault.FromStatus(status, "the response does not say whether the event was accepted"), i)
		}
	}
}

// isSuccess reports whether an entry has a status that is no error.
func (l *errorList) isSuccess(entry event.Value) bool {
	if l.status == nil {
		return false
	}
	n, err := strconv.Atoi(l.status.Read(entry).Text())
	return err == nil && n >= 200 && n < 300
}

// addError assigns an error to payloads; to none if it cannot be assigned.
func (p *placedErrors) addError(err *fault.Error, places ...int) {
	if len(places) == 0 {
		p.rest = err
	}
	for _, i := range places {
		if i < 0 || i >= p.n {
			p.rest = err
		} else if p.byIndex[i] == nil {
			p.byIndex[i] = err
		}
	}
}

// payloadIndex returns the index in an error, given as a number, in digits or within a text, or -1.
func (l *errorList) payloadIndex(v event.Value) int {
	if v.Kind() != event.Number && v.Kind() != event.String {
		return -1
	}
	text := v.Text()
	if l.pattern != nil {
		groups := l.pattern.FindStringSubmatch(text)
		if groups == nil {
			return -1
		}
		text = groups[1]
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		return -1
	}
	return n - l.base
}

func (r *Request) payloadError(e *errorList, entry event.Value, whole int) *fault.Error {
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
	if e.reason != "" {
		message = e.reason + ": " + message
	}
	err := fault.FromStatus(status, message)
	err.Retry = err.Retry || r.IsRetryable(status) || code != "" && slices.Contains(e.retryCodes, code)
	return err
}
