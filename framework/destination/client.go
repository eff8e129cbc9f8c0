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

// Client sends the requests of an instance, each one once: retrying is decided above. It is safe for concurrent use.
type Client struct {
	transport http.RoundTripper
	redact    func(string) string
	base      *request.Base                         // what all requests share; may be nil
	settings  event.Value                           // for base
	token     func(context.Context) (string, error) // for what says auth.accessToken; may be nil
}

// NewClient is a client on a transport, usually a chain of httpx. What a remote says passes through redact before it
// becomes part of an error.
func NewClient(transport http.RoundTripper, redact func(string) string) Client {
	return Client{transport: transport, redact: redact}
}

// Extend is the client with what the definition says of every request, and the token that those have a place for.
func (c Client) Extend(d *Definition, settings event.Value, token func(context.Context) (string, error)) Client {
	c.base, c.settings, c.token = d.Request, settings, token
	return c
}

// Request is one request. It has one body at most; a Content-Type in Header goes before the one that follows from the body.
type Request struct {
	Method string
	URL    string
	Query  url.Values  // added to those of the URL
	Header http.Header // may be nil
	Body   []byte      // JSON that has been encoded; nil for none
	JSON   event.Value // absent for none
	Form   url.Values  // nil for none
	Text   string      // "" for none
	// AllowErrorStatus makes an answer outside of 2xx a Response, for a remote whose refusals say something else than a failure.
	AllowErrorStatus bool
	// FromEvent says that the URL's host comes from an event. Then the request goes to public addresses only and carries no
	// credentials, unless the config allows the host or has the URL itself.
	FromEvent bool
}

// Response is an answer that is not an error, or any answer where the request says so.
type Response struct {
	Status   int
	Header   http.Header
	Body     event.Value // absent where the body is no JSON
	Skipped  string      // set by a Perform that had nothing to send: the reason
	raw      []byte
	exchange *httpx.Exchange // set for a refusal if its context keeps exchanges

	Operation string // set by a Perform whose remote works on the payload; Handler.Poll asks for it later
}

// Refusal is an answer outside of 2xx. errors.As finds it in the error of Do, for what a remote says beside its message.
type Refusal struct {
	Status int
	Body   event.Value // as it came, so that it may hold secrets; absent where it is no JSON

	exchange *httpx.Exchange
}

func (r *Refusal) Error() string { return fmt.Sprintf("the destination answered %d", r.Status) }

// Unwrap returns what carries the exchange, or nil.
func (r *Refusal) Unwrap() error { return httpx.WithExchange(r.exchange, nil) }

// NotSent returns err for payloads that the failed request did not hold, so that their verdicts do not show that request.
func NotSent(err error) error {
	if httpx.ExchangeOf(err) == nil {
		return err
	}
	e := *fault.As(err)
	e.Message, e.Cause = e.Error(), nil
	return &e
}

// Redact is text of a remote without the instance's secrets, for an error that a handler makes of it.
func (c Client) Redact(text string) string {
	if c.redact == nil {
		return text
	}
	return c.redact(text)
}

// Do sends a request. An answer outside of 2xx, unless the request takes errors, and no answer at all, is a *fault.Error; its
// message is what the remote says in the body, as far as that can be shown.
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

// roundTrip sends a request, with what all requests share, and takes any answer.
func (c Client) roundTrip(ctx context.Context, r request.Built) (*Response, error) {
	if c.base != nil {
		auth, err := c.authFor(ctx, c.base.UsesToken())
		if err != nil {
			return nil, err
		}
		scope := event.NewObject([]event.Member{{Key: request.Settings, Value: c.settings}, {Key: request.Auth, Value: auth}})
		if r, err = c.base.Extend(r, scope); err != nil {
			return nil, err
		}
	}
	if r.FromEvent {
		ctx = httpx.FromEvent(ctx)
	}
	sent, err := http.NewRequestWithContext(ctx, r.Method, r.URL, bytes.NewReader(r.Body))
	if err != nil {
		return nil, fmt.Errorf("building the request: %w", err)
	}
	if len(r.Body) > 0 {
		sent.Body = httpx.Body(r.Body)
	}
	for name, values := range r.Header {
		sent.Header[name] = values
	}
	if r.Body != nil && sent.Header.Get("Content-Type") == "" {
		sent.Header.Set("Content-Type", "application/json")
	}
	response, err := c.transport.RoundTrip(sent)
	if err != nil {
		return nil, noResponseError(err)
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, noResponseError(err)
	}
	body, _ := event.ParseValue(raw) // what is no JSON is absent
	return &Response{Status: response.StatusCode, Header: response.Header, Body: body, raw: raw, exchange: httpx.ResponseExchange(response)}, nil
}

// maxMessageBytes bounds what is kept of a remote's message, in bytes.
const maxMessageBytes = 2000

// statusError is the error of an answer outside of 2xx, nil for any other; without a message it is what the body says.
func (c Client) statusError(r *Response, message string) *fault.Error {
	if r.Status < 300 {
		return nil
	}
	if message == "" {
		message = messageOf(r.Status, r.Body, r.raw)
	}
	if message = c.Redact(message); len(message) > maxMessageBytes {
		message = strings.ToValidUTF8(message[:maxMessageBytes], "") + "…"
	}
	e := fault.FromStatus(r.Status, message)
	e.RetryAfter = httpx.RetryAfter(r.Header, time.Now())
	e.Cause = &Refusal{Status: r.Status, Body: r.Body, exchange: r.exchange}
	return e
}

func noResponseError(err error) error {
	var known *fault.Error
	if errors.As(err, &known) {
		return err
	}
	return fault.ConnectionFailed(err)
}

// messageOf is what an error answer says: its message or error key, else its text, bounded.
func messageOf(status int, body event.Value, raw []byte) string {
	for _, key := range []string{"message", "error", "error_description"} {
		if v := body.Get(key); v.IsString() {
			return v.Str()
		}
	}
	const most = 300
	if len(raw) > most {
		raw = append(raw[:most:most], "…"...)
	}
	if len(raw) == 0 {
		return http.StatusText(status)
	}
	return string(bytes.ToValidUTF8(raw, []byte("\uFFFD")))
}
