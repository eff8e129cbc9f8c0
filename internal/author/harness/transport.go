package harness

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/textproto"
	"sync"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/destination/httpx"
	"github.com/landfall-dev/landfall/framework/destination/sandbox"
	"github.com/landfall-dev/landfall/framework/event"
)

// recordingTransport is the transport of a case. It records every request and answers with the case's responses in order, repeating
// the last one. If the case has no responses, the destination's sandbox answers.
type recordingTransport struct {
	responses event.Value
	sandbox   http.RoundTripper // nil if the case has responses, or the destination has no sandbox

	mu       sync.Mutex
	requests []event.Value
	broken   bool // a response broke the connection
	err      error
}

func newRecordingTransport(p destination.Plugin, responses event.Value) *recordingTransport {
	w := &recordingTransport{responses: responses}
	if p.Sandbox != nil && responses.Len() == 0 {
		w.err = p.Sandbox.Mistakes(nil)
		w.sandbox = sandbox.Transport(p.Sandbox.New(nil))
	}
	return w
}

// RoundTrip records the request and answers it.
func (w *recordingTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	var body []byte
	if r.Body != nil {
		var err error
		if body, err = io.ReadAll(r.Body); err != nil {
			return nil, err
		}
		_ = r.Body.Close()
	}
	n := w.recordRequest(r, body)
	if count := w.responses.Len(); count > 0 {
		response, err := newResponse(r, w.responses.Index(min(n, count-1)))
		if err != nil {
			w.mu.Lock()
			w.broken = true
			w.mu.Unlock()
		}
		return response, err
	}
	if w.sandbox == nil {
		err := fmt.Errorf("%s %s: the case has no responses and the destination has no sandbox", r.Method, r.URL)
		w.mu.Lock()
		w.err = err
		w.mu.Unlock()
		return nil, err
	}
	again := r.Clone(r.Context())
	again.Body = io.NopCloser(bytes.NewReader(body))
	return w.sandbox.RoundTrip(again)
}

// recordRequest records a request and returns its index, from 0.
func (w *recordingTransport) recordRequest(r *http.Request, body []byte) int {
	body = httpx.PlainBody(r.Header, body)
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

func canonicalName(name string) string { return textproto.CanonicalMIMEHeaderKey(name) }

// newResponse makes a response from the case. A status of 0 means a broken connection.
func newResponse(r *http.Request, v event.Value) (*http.Response, error) {
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
