// Package request is the language in which a definition declares its HTTP requests: mappings make the address, the headers
// and the body of what is known when a request is sent, and paths say how its answer is read.
//
// Compile checks a request once and reports every mistake with its place; Build and the readers of answers then run without
// parsing what was written. The package sends nothing and knows nothing of destinations: it makes plain data of plain data.
// Requests and Bases are immutable and safe for concurrent use. README.md beside this file is the language's reference.
package request

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/language/mapping"
)

// Names are what a request may speak of: the names of its scope, each with the keys that it has; nil for any.
type Names map[string][]string

// Names of a scope.
const (
	Settings = "settings" // of the instance
	Auth     = "auth"     // {accessToken}, where there is one
	Payload  = "payload"  // the one to send; of a batch the first one, which all are like in what is said of it
	Payloads = "payloads" // all of a batch
	Items    = "items"    // of a batch: what batch.item makes of each payload
	Index    = "index"    // in batch.item: the place of the payload in the request, from 0
	Query    = "query"    // of choices: what somebody has typed
	Page     = "page"     // of choices: where the page before said that the next one begins; absent for the first
)

// Request is a compiled request.
type Request struct {
	method, encoding     *mapping.Mapping // of a text
	address              *address
	headers, query, body *mapping.Mapping // nil where there are none
	sign                 *signature       // nil where nothing is signed
	batch                *batchSpec       // nil where payloads go one by one
	response             responseSpec
	shared               []event.Path // in a payload: what all payloads of a request have in common
	usesToken            bool         // it says auth.accessToken
	usesQuery            bool         // it says query
}

// Built is a request as it is to be sent. Its URL may be relative: a Base makes it whole.
type Built struct {
	Method string
	URL    string
	Header http.Header
	Body   []byte // nil for none
	// FromEvent reports that a payload says which host the request goes to.
	FromEvent bool
}

// UsesToken tells whether the request says where the access token goes.
func (r *Request) UsesToken() bool { return r.usesToken }

// IsRelative tells whether the request needs a base URL.
func (r *Request) IsRelative() bool { return r.address.isRelative() }

// Build makes the request of a scope: an object with the names that Compile was given. The error is a *fault.Error.
func (r *Request) Build(scope event.Value) (Built, error) {
	var b Built
	var err error
	if b.Method, err = resolveText(r.method, scope); err != nil {
		return b, err
	}
	if !slices.Contains(methods, b.Method) {
		return b, fault.Invalid("the method should be %s, but is %q", strings.Join(methods, ", "), b.Method)
	}
	query, err := valuesOf(r.query, scope, "query")
	if err != nil {
		return b, err
	}
	if b.URL, err = r.address.buildURL(scope, query); err != nil {
		return b, err
	}
	if b.Header, err = headersOf(r.headers, scope); err != nil {
		return b, err
	}
	if r.body != nil {
		if err := r.encodeBody(&b, scope); err != nil {
			return b, err
		}
	}
	b.FromEvent = r.address.fromEvent
	return b, r.sign.signRequest(&b, scope)
}

var methods = []string{"GET", "POST", "PUT", "PATCH", "DELETE"}

// resolveText resolves a mapping of a text; "" where it is nil or finds nothing.
func resolveText(m *mapping.Mapping, scope event.Value) (string, error) {
	if m == nil {
		return "", nil
	}
	v, err := m.Resolve(scope)
	return v.Text(), err
}

// valuesOf are the members that a mapping makes: lists are repeated, absent and null ones are left out.
func valuesOf(m *mapping.Mapping, scope event.Value, what string) (url.Values, error) {
	if m == nil {
		return nil, nil
	}
	v, err := m.Resolve(scope)
	if err != nil {
		return nil, err
	}
	if v.Exists() && v.Kind() != event.Object {
		return nil, fault.Invalid("the %s should be an object but is %s", what, v.Kind().WithArticle())
	}
	values := url.Values{}
	for key, m := range v.Members() {
		addValues(values, key, m)
	}
	return values, nil
}

func addValues(values url.Values, key string, v event.Value) {
	switch {
	case v.Kind() == event.Array:
		for _, item := range v.Items() {
			addValues(values, key, item)
		}
	case v.Exists():
		values.Add(key, v.Text())
	}
}

// headersOf are the headers that a mapping makes. One that HTTP cannot carry is the payload's fault.
func headersOf(m *mapping.Mapping, scope event.Value) (http.Header, error) {
	values, err := valuesOf(m, scope, "headers")
	if err != nil {
		return nil, err
	}
	header := http.Header{}
	for _, name := range slices.Sorted(maps.Keys(values)) { // names that differ in case only are one header: its order is fixed
		for _, v := range values[name] {
			if !httpguts.ValidHeaderFieldName(name) || !httpguts.ValidHeaderFieldValue(v) {
				return nil, fault.Invalid("the header %q holds what no header can", name)
			}
			header.Add(name, v)
		}
	}
	return header, nil
}
