package sandbox

import (
	"cmp"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/landfall-dev/landfall/internal/pause"
)

// Fault makes the next requests fail.
type Fault struct {
	Path    string            `json:"path"`  // the request path; a final * matches any rest; "" matches every path
	Times   int               `json:"times"` // the number of requests, 1 by default; n and count are aliases
	N       int               `json:"n"`
	Count   int               `json:"count"`
	Status  int               `json:"status"`   // the status of the response; 0 lets the API respond
	Headers map[string]string `json:"headers"`  // of that response
	Body    json.RawMessage   `json:"body"`     // of that response
	DelayMS int               `json:"delay_ms"` // the delay of the response in milliseconds
	Drop    bool              `json:"drop"`     // close the connection without a response
	After   bool              `json:"after"`    // let the API process the request first
}

func (f *Fault) validateFields() error {
	if f.Times = cmp.Or(f.Times, f.N, f.Count); f.Times == 0 {
		f.Times = 1
	}
	switch {
	case f.Times < 0:
		return errors.New("times should be at least 1")
	case f.Status != 0 && (f.Status < 200 || f.Status > 599):
		return errors.New("status should be from 200 to 599")
	case f.DelayMS < 0 || time.Duration(f.DelayMS)*time.Millisecond > maxDelay:
		return errors.New("delay_ms should be from 0 to 60000")
	case f.Status == 0 && !f.Drop && f.DelayMS == 0:
		return errors.New("a fault needs a status, a delay_ms or drop")
	}
	return nil
}

func (f *Fault) isFor(path string) bool {
	if prefix, ok := strings.CutSuffix(f.Path, "*"); ok {
		return strings.HasPrefix(path, prefix)
	}
	return f.Path == "" || f.Path == path
}

// takeFault removes one use of the first fault that matches a path and returns the fault, or nil.
func (s *Server) takeFault(path string) *Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, f := range s.faults {
		if !f.isFor(path) {
			continue
		}
		if f.Times--; f.Times == 0 {
			s.faults = append(s.faults[:i:i], s.faults[i+1:]...)
		}
		return f
	}
	return nil
}

// playFault makes a request fail.
func (s *Server) playFault(w http.ResponseWriter, r *http.Request, f *Fault) {
	if f.After {
		s.config.API.ServeHTTP(httptest.NewRecorder(), r)
	}
	_ = pause.For(r.Context(), time.Duration(f.DelayMS)*time.Millisecond)
	switch {
	case f.Drop:
		panic(http.ErrAbortHandler)
	case f.Status == 0:
		s.config.API.ServeHTTP(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	for name, value := range f.Headers {
		w.Header().Set(name, value)
	}
	w.WriteHeader(f.Status)
	body := []byte(f.Body)
	if body == nil {
		body = []byte(`{"message":"` + http.StatusText(f.Status) + `"}`)
	}
	_, _ = w.Write(body) // the client may be gone
}

// Transport returns a transport that calls a handler in this process, without a socket. If the handler drops the connection,
// the error is io.ErrUnexpectedEOF.
func Transport(handler http.Handler) http.RoundTripper { return handlerTransport{handler} }

type handlerTransport struct{ handler http.Handler }

func (t handlerTransport) RoundTrip(r *http.Request) (response *http.Response, err error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	if r.Body == nil {
		r = r.Clone(r.Context())
		r.Body = http.NoBody
	}
	defer r.Body.Close()
	recorder := httptest.NewRecorder()
	defer func() {
		if p := recover(); p != nil {
			if p != http.ErrAbortHandler {
				panic(p)
			}
			response, err = nil, io.ErrUnexpectedEOF
		}
	}()
	t.handler.ServeHTTP(recorder, r)
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	response = recorder.Result()
	response.Request = r
	return response, nil
}
