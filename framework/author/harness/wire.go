package harness

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/textproto"
	"sync"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/destination/sandbox"
	"github.com/landfall-dev/landfall/framework/event"
)

// wire is the transport of a case: it keeps every request as it is made, and answers with the case's responses in order,
// the last one again and again, or as the destination's sandbox does.
type wire struct {
	responses event.Value
	sandbox   http.RoundTripper // nil where there is none

	mu       sync.Mutex
	requests []event.Value
	wrong    error
}

func newWire(p destination.Plugin, responses event.Value) *wire {
	w := &wire{responses: responses}
	if p.Sandbox != nil {
		w.sandbox = sandbox.Transport(p.Sandbox.New(nil))
	}
	return w
}

// RoundTrip keeps the request and answers it.
func (w *wire) RoundTrip(r *http.Request) (*http.Response, error) {
	var body []byte
	if r.Body != nil {
		var err error
		if body, err = io.ReadAll(r.Body); err != nil {
			return nil, err
		}
		_ = r.Body.Close()
	}
	n := w.keep(r, body)
	if count := w.responses.Len(); count > 0 {
		return answer(r, w.responses.Index(min(n, count-1)))
	}
	if w.sandbox == nil {
		err := fmt.Errorf("%s %s: the case has no responses and the destination has no sandbox", r.Method, r.URL)
		w.mu.Lock()
		w.wrong = err
		w.mu.Unlock()
		return nil, err
	}
	again := r.Clone(r.Context())
	again.Body = io.NopCloser(bytes.NewReader(body))
	return w.sandbox.RoundTrip(again)
}

// keep records a request and gives its number, from 0.
func (w *wire) keep(r *http.Request, body []byte) int {
	members := []event.Member{
		{Key: "method", Value: event.NewString(r.Method)},
		{Key: "url", Value: event.NewString(r.URL.String())},
	}
	if v, err := event.ParseValue(body); err == nil {
		members = append(members, event.Member{Key: "json", Value: v})
	} else if len(body) > 0 {
		members = append(members, event.Member{Key: "body", Value: event.NewString(string(body))})
	}
	var headers []event.Member
	for name := range r.Header {
		headers = append(headers, event.Member{Key: name, Value: event.NewString(r.Header.Get(name))})
	}
	members = append(members, event.Member{Key: "headers", Value: event.NewObject(headers)})
	w.mu.Lock()
	defer w.mu.Unlock()
	w.requests = append(w.requests, event.NewObject(members))
	return len(w.requests) - 1
}

func canonical(name string) string { return textproto.CanonicalMIMEHeaderKey(name) }

// answer is a response of the case. A status of 0 is a connection that breaks.
func answer(r *http.Request, v event.Value) (*http.Response, error) {
	status := int(v.Get("status").Float())
	if status == 0 {
		return nil, io.ErrUnexpectedEOF
	}
	header := http.Header{}
	for name, value := range v.Get("headers").Members() {
		header.Set(name, value.Text())
	}
	body := v.Get("body")
	text := body.JSON()
	if body.IsString() {
		text = body.Str()
	}
	return &http.Response{
		StatusCode: status, Status: http.StatusText(status), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: header, Body: io.NopCloser(bytes.NewReader([]byte(text))), ContentLength: int64(len(text)), Request: r,
	}, nil
}
