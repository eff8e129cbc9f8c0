// Package request compiles the HTTP requests that a definition declares. Mappings build the URL, the headers and the body from
// a scope; paths say how the response is read.
//
// Compile checks a request once and reports every problem with its place. Build and the readers of responses then run without
// parsing. The package sends nothing and must not know destinations. Requests and Bases are immutable and safe for concurrent
// use. README.md is the reference of the language.
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

// The members of a scope.
const (
	Settings = "settings" // the instance's settings
	Auth     = "auth"     // {accessToken}, or {} without a token
	Payload  = "payload"  // the payload to send; in a batch the first one, with which all agree in what the request reads of it
	SyncMode = "syncMode" // the sync mode of the subscription; "" if the action has none
	Payloads = "payloads" // all payloads of a batch
	Items    = "items"    // in a batch: the results of batch.item
	Index    = "index"    // in batch.item: the index of the payload in the request; in steps with each: the index of the item; from 0
	Query    = "query"    // for choices: the search text
	Answers  = "answers"  // in steps: the responses of earlier steps by name, each {status, body, headers}
	Item     = "item"     // in steps with each: the item of the list
	Hooks    = "hooks"    // in actions with hooks: the outputs of each hook by its name
	Inputs   = "inputs"   // in requests of hooks: the inputs
	Audience = "audience" // in requests of audiences: {id, key, settings}; before it is created {id, key, name, externalId, settings}
	User     = "user"     // in onDelete: {id, anonymousId}
	Member   = "member"   // in batch.item of a change of audiences: whether the user is a member from now on
	Batched  = "batched"  // in actions: whether the payloads are a batch, which may hold only one, rather than an event by itself
	Page     = "page"     // for choices and lists of members: the next page, as the response with the previous page says; absent for the first
)

// signedRequest is the member of a scope that the text of a signature reads: the request with the keys of signedKeys.
const signedRequest = "request"

// Request is a compiled request.
type Request struct {
	method, encoding     *mapping.Mapping // each returns a string
	compress             *mapping.Mapping // returns a string; nil for a body that is not compressed
	address              *address
	headers, query, body *mapping.Mapping // nil if absent
	sign                 *signature       // nil if requests are not signed
	batch                *batchSpec       // nil if a request has one payload
	response             responseSpec
	refusals             []refusal    // which payloads are refused before anything is sent
	steps                []*Step      // the requests that are sent instead of this one, in order
	shared               []event.Path // paths into a payload that all payloads of a batch must agree in
	usesToken            bool         // a mapping reads auth.accessToken
	usesQuery            bool         // a mapping reads query
}

// Built is a request that is ready to send. Its URL may be relative; a Base makes it absolute.
type Built struct {
	Method string
	URL    string
	Header http.Header
	Body   []byte // nil for none
	Size   int    // of the body in bytes before it was compressed
	// FromEvent reports whether a payload decides the host of the URL.
	FromEvent bool

	sign  *signature  // of the request itself; nil if it is not signed
	scope event.Value // that it was built from, for sign
}

// UsesToken reports whether a mapping of the request uses the access token.
func (r *Request) UsesToken() bool { return r.usesToken }

// IsRelative reports whether the request needs a base URL.
func (r *Request) IsRelative() bool {
	return len(r.steps) == 0 && r.address.isRelative() || slices.ContainsFunc(r.steps, func(s *Step) bool { return s.IsRelative() })
}

// Build builds the request from a scope: an object with the names that were passed to Compile. Base.Extend completes and signs it. The
// error is a *fault.Error.
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
	b.FromEvent, b.sign, b.scope = r.address.fromEvent, r.sign, scope
	return b, nil
}

var methods = []string{"GET", "POST", "PUT", "PATCH", "DELETE"}

// resolveText resolves a mapping as text. It returns "" if m is nil or finds nothing.
func resolveText(m *mapping.Mapping, scope event.Value) (string, error) {
	if m == nil {
		return "", nil
	}
	v, err := m.Resolve(scope)
	return v.Text(), err
}

// valuesOf returns the members of the object that a mapping builds. A list becomes repeated values; absent and null members are
// dropped.
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

func sortedKeys(values map[string][]string) []string { return slices.Sorted(maps.Keys(values)) }

// headersOf returns the headers that a mapping builds. A header that HTTP does not allow is an error of the payload.
func headersOf(m *mapping.Mapping, scope event.Value) (http.Header, error) {
	values, err := valuesOf(m, scope, "headers")
	if err != nil {
		return nil, err
	}
	header := http.Header{}
	for _, name := range sortedKeys(values) { // names that differ only in case are one header; sorting fixes the order
		for _, v := range values[name] {
			if !httpguts.ValidHeaderFieldName(name) || !httpguts.ValidHeaderFieldValue(v) {
				return nil, fault.Invalid("the header %q has a name or value that HTTP does not allow", name).Because(fault.CauseIncomplete)
			}
			header.Add(name, v)
		}
	}
	return header, nil
}
