package destination

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/httpx"
)

// Client sends the requests of an instance, each one once: retrying is decided above. It is safe for concurrent use.
type Client struct {
	transport http.RoundTripper
	redact    func(string) string
}

// NewClient is a client on a transport, usually a chain of httpx. What a remote says passes through redact before it
// becomes part of an error.
func NewClient(transport http.RoundTripper, redact func(string) string) Client {
	return Client{transport, redact}
}

// Request is one request with a JSON body.
type Request struct {
	Method string
	URL    string
	Header http.Header // may be nil
	Body   []byte      // JSON; nil for none
}

// Response is an answer that is not an error.
type Response struct {
	Status  int
	Header  http.Header
	Body    event.Value // absent where the body is no JSON
	Skipped string      // set by a Perform that had nothing to send: the reason
}

// Refusal is an answer outside of 2xx. errors.As finds it in the error of Do, for what a remote says beside its message.
type Refusal struct {
	Status int
	Body   event.Value // as it came, so that it may hold secrets; absent where it is no JSON
}

func (r *Refusal) Error() string { return fmt.Sprintf("the destination answered %d", r.Status) }

// Redact is text of a remote without the instance's secrets, for an error that a handler makes of it.
func (c Client) Redact(text string) string {
	if c.redact == nil {
		return text
	}
	return c.redact(text)
}

// Do sends a request. An answer outside of 2xx, and no answer at all, is a *fault.Error; its message is what the remote
// says in the body, as far as that can be shown.
func (c Client) Do(ctx context.Context, r Request) (*Response, error) {
	request, err := http.NewRequestWithContext(ctx, r.Method, r.URL, bytes.NewReader(r.Body))
	if err != nil {
		return nil, fmt.Errorf("building the request: %w", err)
	}
	for name, values := range r.Header {
		request.Header[name] = values
	}
	if r.Body != nil && request.Header.Get("Content-Type") == "" {
		request.Header.Set("Content-Type", "application/json")
	}
	answer, err := c.transport.RoundTrip(request)
	if err != nil {
		return nil, noAnswer(err)
	}
	defer answer.Body.Close()
	raw, err := io.ReadAll(answer.Body)
	if err != nil {
		return nil, noAnswer(err)
	}
	body, _ := event.ParseValue(raw) // what is no JSON is absent
	if answer.StatusCode >= 300 {
		e := fault.FromStatus(answer.StatusCode, c.redact(messageOf(answer.StatusCode, body, raw)))
		e.RetryAfter = httpx.RetryAfter(answer.Header, time.Now())
		e.Cause = &Refusal{Status: answer.StatusCode, Body: body}
		return nil, e
	}
	return &Response{Status: answer.StatusCode, Header: answer.Header, Body: body}, nil
}

func noAnswer(err error) error {
	var known *fault.Error
	if errors.As(err, &known) {
		return err
	}
	return fault.NoAnswer(err)
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
