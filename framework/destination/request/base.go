package request

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/language/mapping"
)

// Base is what all requests of a destination share.
type Base struct {
	url            *address // nil where there is none
	headers, query *mapping.Mapping
	sign           *signature
	usesToken      bool
	// RateLimit names the headers in which the remote tells of its limits.
	RateLimit RateLimit
}

// RateLimit are names of headers; "" for the usual ones.
type RateLimit struct {
	Remaining    string // how many requests are left
	Reset        string // when there are more
	RetryAfter   string // how long to wait
	Milliseconds bool   // Reset and RetryAfter count these, not seconds
}

// CompileBase is Compile for what all requests share.
func CompileBase(v event.Value, names Names) (*Base, error) {
	c := &compiler{names: names}
	b := &Base{
		headers: c.compileHeaders(v.Get("headers"), "/headers"),
		query:   c.compileMapping(v.Get("query"), "/query"),
		sign:    c.compileSignature(v.Get("sign"), "/sign"),
	}
	if base := v.Get("baseUrl"); base.Exists() {
		if b.url = c.compileAddress(base, "/baseUrl"); b.url.isRelative() {
			c.problems.Add("/baseUrl", "should be a whole URL but is %q", base.Str())
		}
	}
	b.usesToken = c.used[Auth]
	limit := v.Get("rateLimit")
	b.RateLimit = RateLimit{
		Remaining: limit.Get("remaining").Str(), Reset: limit.Get("reset").Str(), RetryAfter: limit.Get("retryAfter").Str(),
		Milliseconds: limit.Get("unit").Str() == "milliseconds",
	}
	if err := c.problems.Err(); err != nil {
		return nil, err
	}
	return b, nil
}

// UsesToken tells whether the access token has a place in every request.
func (b *Base) UsesToken() bool { return b != nil && b.usesToken }

// HasURL tells whether relative URLs can be made whole.
func (b *Base) HasURL() bool { return b != nil && b.url != nil }

// Extend makes a request whole: a URL without a host lies below the base URL; headers and parameters that the request does
// not have itself are added; then it is signed. The scope holds settings and auth. The request is not changed.
func (b *Base) Extend(r Built, scope event.Value) (Built, error) {
	if b == nil {
		return r, nil
	}
	headers, err := headersOf(b.headers, scope)
	if err != nil {
		return r, err
	}
	for name, values := range r.Header {
		headers[http.CanonicalHeaderKey(name)] = values
	}
	r.Header = headers
	query, err := valuesOf(b.query, scope, "query")
	if err != nil {
		return r, err
	}
	if r.URL, err = b.resolveURL(r.URL, query, scope); err != nil {
		return r, err
	}
	return r, b.sign.signRequest(&r, scope)
}

// resolveURL is a URL below the base URL, with the parameters that it lacks.
func (b *Base) resolveURL(text string, query url.Values, scope event.Value) (string, error) {
	if strings.HasPrefix(text, "/") && b.url != nil {
		base, err := b.url.buildURL(scope, nil)
		if err != nil {
			return "", err
		}
		text = strings.TrimSuffix(base, "/") + text
	}
	if len(query) == 0 {
		return text, nil
	}
	u, err := url.Parse(text)
	if err != nil {
		return "", fault.Invalid("%q is no URL", text)
	}
	for name := range u.Query() {
		delete(query, name)
	}
	addQuery(u, query)
	return u.String(), nil
}
