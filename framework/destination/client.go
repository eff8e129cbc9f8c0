package destination

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/landfall-dev/landfall/framework/destination/httpx"
	"github.com/landfall-dev/landfall/framework/destination/request"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
)

// Client sends the requests of an instance, each one once; the caller decides about retries. It is safe for concurrent use.
type Client struct {
	transport http.RoundTripper
	redact    func(string) string
	base      *request.Base                         // what all requests have in common; may be nil
	settings  event.Value                           // for base
	token     func(context.Context) (string, error) // returns auth.accessToken; may be nil
	now       func() time.Time                      // the clock, for signatures; nil for time.Now
	answers   *answers                              // remembered for steps; nil for none
}

// NewClient returns a client on a transport, usually a chain of httpx. Text from the remote is passed through redact before it
// becomes part of an error.
func NewClient(transport http.RoundTripper, redact func(string) string) Client {
	return Client{transport: transport, redact: redact}
}

// Extend returns the client with the definition's shared request settings. token returns the access token for requests that use
// it in a mapping.
func (c Client) Extend(d *Definition, settings event.Value, token func(context.Context) (string, error)) Client {
	c.base, c.settings, c.token, c.answers = d.Request, settings, token, newAnswers()
	return c
}

// WithClock returns the client with a clock, by which requests are signed.
func (c Client) WithClock(now func() time.Time) Client {
	c.now = now
	return c
}

func (c Client) currentTime() time.Time {
	if c.now == nil {
		return time.Now()
	}
	return c.now()
}

// Request is one HTTP request. At most one of Body, JSON, Form and Text may be set. A Content-Type in Header overrides the one
// that follows from the body.
type Request struct {
	Method string
	URL    string
	Query  url.Values  // added to those of the URL
	Header http.Header // may be nil
	Body   []byte      // encoded JSON; nil for none
	JSON   event.Value // absent for none
	Form   url.Values  // nil for none
	Text   string      // "" for none
	// AllowErrorStatus makes Do return responses outside of 2xx as a Response, for remotes that use such a status for something
	// other than a failure.
	AllowErrorStatus bool
	// FromEvent says that the URL's host comes from an event. The request then goes to public addresses only and carries no
	// credentials, unless the config allows the host or contains the URL itself.
	FromEvent bool
}

// Response is a response with a 2xx status, or any response if Request.AllowErrorStatus is set.
type Response struct {
	Status   int
	Header   http.Header
	Body     event.Value // absent if the body is not JSON
	Skipped  string      // the reason if Perform had nothing to send
	raw      []byte
	exchange *httpx.Exchange // set for an error status if the context keeps exchanges

	Operation string // set if Perform started an operation at the remote; Handler.Poll polls it
}

// Refusal is a response outside of 2xx. Find it with errors.As in the error of Do to read more than the message.
type Refusal struct {
	Status int
	Body   event.Value // unredacted, so it may hold secrets; absent if it is not JSON

	exchange *httpx.Exchange
}

func (r *Refusal) Error() string { return fmt.Sprintf("the destination answered %d", r.Status) }

// Unwrap returns an error that carries the exchange, or nil.
func (r *Refusal) Unwrap() error { return httpx.WithExchange(r.exchange, nil) }

// NotSent returns err without its exchange, for payloads that were not part of the failed request.
func NotSent(err error) error {
	if httpx.ExchangeOf(err) == nil {
		return err
	}
	e := *fault.As(err)
	e.Message, e.Err = e.Error(), nil
	return &e
}

// Redact returns text without the instance's secrets. Use it for text of a remote that becomes part of an error.
func (c Client) Redact(text string) string {
	if c.redact == nil {
		return text
	}
	return c.redact(text)
}

// Do sends a request. A missing response, and a status outside of 2xx unless AllowErrorStatus is set, is a *fault.Error. Its
// message is the redacted message of the response body.
func (c Client) Do(ctx context.Context, r Request) (*Response, error) {
	r, err := r.withEncodedBody()
	if err != nil {
		return nil, err
	}
	response, err := c.roundTrip(ctx, request.Built{Method: r.Method, URL: r.URL, Header: r.Header, Body: r.Body, FromEvent: r.FromEvent})
	if err != nil || r.AllowErrorStatus {
		return response, err
	}
	if e := c.statusError(response, ""); e != nil {
		return nil, e
	}
	return response, nil
}

// roundTrip sends a request with what all requests have in common, and returns any response.
func (c Client) roundTrip(ctx context.Context, r request.Built) (*Response, error) {
	response, err := c.open(ctx, r)
	if err != nil {
		return nil, err
	}
	return readResponse(response)
}

// open is roundTrip for a response whose body is not read yet.
func (c Client) open(ctx context.Context, r request.Built) (*http.Response, error) {
	sent, err := c.newHTTPRequest(ctx, r)
	if err != nil {
		return nil, err
	}
	response, err := c.transport.RoundTrip(sent)
	if err != nil {
		return nil, noResponseError(err)
	}
	return response, nil
}

// readResponse reads a response to its end.
func readResponse(response *http.Response) (*Response, error) {
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, noResponseError(err)
	}
	body, _ := event.ParseValue(raw) // a body that is not JSON is absent
	return &Response{Status: response.StatusCode, Header: response.Header, Body: body, raw: raw, exchange: httpx.ResponseExchange(response)}, nil
}

// newHTTPRequest returns a request with what all requests have in common, as net/http sends it.
func (c Client) newHTTPRequest(ctx context.Context, r request.Built) (*http.Request, error) {
	r, err := c.completeRequest(ctx, r)
	if err != nil {
		return nil, err
	}
	if r.FromEvent {
		ctx = httpx.FromEvent(ctx)
	}
	sent, err := http.NewRequestWithContext(ctx, r.Method, r.URL, bytes.NewReader(r.Body))
	if invalid := (*url.Error)(nil); errors.As(err, &invalid) {
		return nil, errNotURL(r.URL)
	}
	if err != nil {
		return nil, fmt.Errorf("building the request: %w", err)
	}
	if len(r.Body) > 0 {
		sent.Body = httpx.Body(r.Body)
	}
	for name, values := range r.Header {
		sent.Header[name] = values
	}
	if host := sent.Header.Get("Host"); host != "" { // net/http ignores the header
		sent.Host = host
	}
	if r.Body != nil && sent.Header.Get("Content-Type") == "" {
		sent.Header.Set("Content-Type", "application/json")
	}
	return sent, nil
}

// completeRequest returns a request with what all requests have in common, and signed.
func (c Client) completeRequest(ctx context.Context, r request.Built) (request.Built, error) {
	scope := event.Value{}
	if c.base != nil {
		auth, err := c.authFor(ctx, c.base.UsesToken())
		if err != nil {
			return r, err
		}
		scope = event.NewObject([]event.Member{{Key: request.Settings, Value: c.settings}, {Key: request.Auth, Value: auth}})
	}
	return c.base.Extend(r, scope, c.currentTime())
}

// Limits of what an error shows of a response, in characters.
const (
	maxMessageLength = 2000 // its message
	maxTextLength    = 300  // its text, if it has no message
)

// statusError returns the error for a response outside of 2xx, or nil. If message is empty, it is taken from the body. A web page is an
// error with any status: a proxy or a login page has answered, and the remote may not have the request.
func (c Client) statusError(r *Response, message string) *fault.Error {
	if r.Status < 300 {
		if c.base.AcceptsHTML() || !isWebPage(r.raw) {
			return nil
		}
		return c.addResponse(fault.FromStatus(http.StatusBadGateway, "the response is a web page, so something other than the API has answered, such as a proxy: "+r.excerpt()), r)
	}
	if message == "" {
		message = messageOf(r)
	}
	return c.addResponse(fault.FromStatus(r.Status, message), r)
}

// addResponse adds to an error the response that reports it. The message becomes short and free of secrets.
func (c Client) addResponse(e *fault.Error, r *Response) *fault.Error {
	e.Message = fault.Shorten(c.Redact(e.Message), maxMessageLength)
	e.RetryAfter = httpx.RetryAfter(r.Header, time.Now())
	e.Err = &Refusal{Status: r.Status, Body: r.Body, exchange: r.exchange}
	return e
}

// isWebPage reports whether a body begins as HTML does.
func isWebPage(body []byte) bool {
	text := bytes.TrimLeft(body, " \t\r\n\uFEFF")
	for _, start := range []string{"<!doctype html", "<html"} {
		if len(text) >= len(start) && strings.EqualFold(string(text[:len(start)]), start) {
			return true
		}
	}
	return false
}

func noResponseError(err error) error {
	var known *fault.Error
	if errors.As(err, &known) {
		return err
	}
	return fault.ConnectionFailed(err)
}

// messageOf returns the message of an error response: its message or error key, otherwise its text, bounded.
func messageOf(r *Response) string {
	for _, key := range []string{"message", "error", "error_description"} {
		if v := r.Body.Get(key); v.IsString() {
			return v.Str()
		}
	}
	if len(r.raw) == 0 {
		return http.StatusText(r.Status)
	}
	return r.excerpt()
}

// excerpt returns the start of the body as text.
func (r *Response) excerpt() string {
	return fault.Shorten(strings.ToValidUTF8(string(r.raw), "\uFFFD"), maxTextLength)
}
