package request

import (
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/language/mapping"
)

// Base holds what all requests of a destination have in common.
type Base struct {
	url            *address // nil if not declared
	headers, query *mapping.Mapping
	sign           *signature
	usesToken      bool
	acceptsHTML    bool
	// RateLimit holds the names of the remote's rate-limit headers.
	RateLimit RateLimit
}

// RateLimit holds names of headers; "" means the usual name.
type RateLimit struct {
	Remaining    string // the number of remaining requests
	Reset        string // the end of the window
	RetryAfter   string // the time to wait
	Milliseconds bool   // Reset and RetryAfter are in milliseconds, not seconds
}

// CompileBase compiles what all requests have in common, like Compile.
func CompileBase(v event.Value, names Names) (*Base, error) {
	c := newCompiler(names)
	b := &Base{
		headers: c.compileHeaders(v.Get("headers"), "/headers"),
		query:   c.compileMapping(v.Get("query"), "/query"),
		sign:    c.compileSignature(v.Get("sign"), "/sign"),
	}
	if base := v.Get("baseUrl"); base.Exists() {
		if b.url = c.compileAddress(base, "/baseUrl"); b.url.isRelative() {
			c.problems.Add("/baseUrl", "should be an absolute URL but is %q", base.Str())
		}
	}
	b.usesToken = c.used[Auth]
	b.acceptsHTML = v.Get("acceptHTML").Kind() == event.True
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

// UsesToken reports whether a mapping of the base uses the access token.
func (b *Base) UsesToken() bool { return b != nil && b.usesToken }

// AcceptsHTML reports whether a web page may be the response of the remote.
func (b *Base) AcceptsHTML() bool { return b != nil && b.acceptsHTML }

// HasURL reports whether the base has a URL for relative requests.
func (b *Base) HasURL() bool { return b != nil && b.url != nil }

// Extend returns a request with an absolute URL, with the headers and parameters that it lacks, and signed at a time. The scope has
// settings and auth. r is not changed. A nil Base only signs.
func (b *Base) Extend(r Built, scope event.Value, now time.Time) (Built, error) {
	if b != nil {
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
	}
	if err := r.sign.signRequest(&r, r.scope, now); err != nil || b == nil {
		return r, err
	}
	return r, b.sign.signRequest(&r, scope, now)
}

// resolveURL returns text as an absolute URL, with the parameters that it lacks.
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
		return "", fault.Invalid("%q is not a URL", fault.ShownURL(text))
	}
	for name := range u.Query() {
		delete(query, name)
	}
	addQuery(u, query)
	return u.String(), nil
}
