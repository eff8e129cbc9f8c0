// Package sandbox has what all simulated remote APIs share: it records requests, makes requests fail on demand, and can be
// called in the same process without a socket.
//
// A destination's sandbox implements [API]; [New] makes a [Server] of it, and [Transport] sends requests to that in the same process,
// as tests and `landfall run --sandbox` do. A [Recorder] is an API that accepts and counts all requests.
//
// An API is an http.Handler; New adds the controls at /__sandbox/. The package knows no particular API. A Server is safe for
// concurrent use.
package sandbox

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/landfall-dev/landfall/framework/destination/httpx"
)

// Limits of a sandbox.
const (
	MaxBody      = 4 << 20  // bytes of a request
	MaxRequests  = 10_000   // recorded requests, the latest ones
	maxBodyBytes = 64 << 20 // bytes of their bodies
	maxFaults    = 1000
	maxDelay     = time.Minute
)

// API is a simulated API.
type API interface {
	http.Handler
	// State returns the data of the API, for JSON.
	State() any
	// Reset deletes all data.
	Reset()
}

// Config describes an API to New.
type Config struct {
	API     API
	Secrets []string // names of JSON keys whose values are not shown
}

// Server is an API with controls.
type Server struct {
	config Config

	mu       sync.Mutex
	requests []recordedRequest
	bytes    int // of their bodies
	faults   []*Fault
}

// recordedRequest is a request; its secrets are hidden when it is shown.
type recordedRequest struct {
	Request
	body []byte
}

// Request is one recorded request.
type Request struct {
	Time   time.Time       `json:"time"`
	Method string          `json:"method"`
	Path   string          `json:"path"`
	Status int             `json:"status"` // 0 if the connection was dropped
	JSON   json.RawMessage `json:"json,omitempty"`
	Fault  bool            `json:"fault,omitempty"` // a fault determined the response
}

// New adds the controls to an API.
func New(config Config) *Server { return &Server{config: config} }

// ServeHTTP handles the controls, applies faults, and passes other requests to the API.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if name, ok := strings.CutPrefix(r.URL.Path, "/__sandbox/"); ok {
		s.serveControl(w, r, name)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, MaxBody))
	if err != nil {
		WriteJSON(w, http.StatusRequestEntityTooLarge, map[string]string{"message": fmt.Sprintf("larger than %d MB", MaxBody>>20)})
		return
	}
	body = httpx.PlainBody(r.Header, body)
	r.Body = io.NopCloser(bytes.NewReader(body))
	asked := recordedRequest{Request{Time: time.Now().UTC(), Method: r.Method, Path: r.URL.Path}, body}
	defer func() { s.recordRequest(asked) }()
	if f := s.takeFault(r.URL.Path); f != nil {
		asked.Fault, asked.Status = true, f.Status
		s.playFault(w, r, f)
		return
	}
	seen := &statusWriter{ResponseWriter: w, status: http.StatusOK}
	s.config.API.ServeHTTP(seen, r)
	asked.Status = seen.status
}

// statusWriter records the status of the response.
type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

func (s *Server) recordRequest(r recordedRequest) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests = append(s.requests, r)
	s.bytes += len(r.body)
	for len(s.requests) > MaxRequests || s.bytes > maxBodyBytes {
		s.bytes -= len(s.requests[0].body)
		s.requests[0] = recordedRequest{}
		s.requests = s.requests[1:]
	}
}

// Requests returns the recorded requests in order.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	all := slices.Clone(s.requests)
	s.mu.Unlock()
	list := make([]Request, len(all))
	for i, r := range all {
		list[i] = r.Request
		list[i].JSON = s.redactBody(r.body)
	}
	return list
}

// redactBody returns a JSON body without its secrets; nil if it is not JSON.
func (s *Server) redactBody(body []byte) json.RawMessage {
	var v any
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	if decoder.Decode(&v) != nil {
		return nil
	}
	s.hideSecrets(v)
	clean, err := json.Marshal(v)
	if err != nil {
		return nil
	}
	return clean
}

func (s *Server) hideSecrets(v any) {
	switch v := v.(type) {
	case map[string]any:
		for key, inner := range v {
			s.hideSecrets(inner)
			for _, secret := range s.config.Secrets {
				if key == secret {
					v[key] = "[hidden]"
				}
			}
		}
	case []any:
		for _, inner := range v {
			s.hideSecrets(inner)
		}
	}
}

func (s *Server) serveControl(w http.ResponseWriter, r *http.Request, name string) {
	switch r.Method + " " + name {
	case "GET state":
		WriteJSON(w, http.StatusOK, s.config.API.State())
	case "GET requests":
		WriteJSON(w, http.StatusOK, s.Requests())
	case "POST faults":
		s.serveFaults(w, r)
	case "POST reset":
		s.Reset()
		WriteJSON(w, http.StatusOK, map[string]string{"message": "reset"})
	default:
		WriteJSON(w, http.StatusNotFound, map[string]string{
			"message": "there are GET /__sandbox/state, GET /__sandbox/requests, POST /__sandbox/faults and POST /__sandbox/reset",
		})
	}
}

// Reset deletes requests, faults and the data of the API.
func (s *Server) Reset() {
	s.mu.Lock()
	s.requests, s.bytes, s.faults = nil, 0, nil
	s.mu.Unlock()
	s.config.API.Reset()
}

// WriteJSON writes a JSON response.
func WriteJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the client may be gone
}

// serveFaults adds a fault or a list of faults from a request.
func (s *Server) serveFaults(w http.ResponseWriter, r *http.Request) {
	raw, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
	if err == nil {
		err = s.AddFaults(raw)
	}
	if err != nil {
		WriteJSON(w, http.StatusBadRequest, map[string]string{"message": err.Error()})
		return
	}
	WriteJSON(w, http.StatusOK, map[string]string{"message": "the next requests will go wrong"})
}

// AddFaults adds faults: the JSON of one fault or of a list.
func (s *Server) AddFaults(raw []byte) error {
	var list []*Fault
	if err := decodeStrict(raw, &list); err != nil {
		var one Fault
		if err := decodeStrict(raw, &one); err != nil {
			return fmt.Errorf("this is not a valid fault: %w", err)
		}
		list = []*Fault{&one}
	}
	for _, f := range list {
		if err := f.validateFields(); err != nil {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.faults)+len(list) > maxFaults {
		return fmt.Errorf("more than %d faults are waiting", maxFaults)
	}
	s.faults = append(s.faults, list...)
	return nil
}

func decodeStrict(raw []byte, into any) error {
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		return err
	}
	if decoder.More() {
		return errors.New("there is text after it")
	}
	return nil
}
