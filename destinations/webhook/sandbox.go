package webhook

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"hash"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/destination/sandbox"
)

// The options on the command line.
const (
	secretOption = "secret"
	refuseOption = "refuse"
	wholeOption  = "refuse-whole"
)

// maxDeliveries is the maximum number of recorded requests.
const maxDeliveries = 1000

// newSandbox returns a sandbox that simulates an endpoint.
func newSandbox() *destination.Sandbox {
	return &destination.Sandbox{
		Name: "webhook",
		Options: []destination.SandboxOption{
			{Name: secretOption, Usage: "accept only requests whose X-Signature is made with one of these secrets"},
			{Name: refuseOption, Usage: "refuse events that contain one of these texts, one by one"},
			{Name: wholeOption, Usage: "refuse lists that contain one of these texts as a whole"},
		},
		New: func(options map[string][]string) http.Handler {
			return sandbox.New(sandbox.Config{API: &endpoint{secrets: options[secretOption], refused: options[refuseOption], whole: options[wholeOption]}})
		},
	}
}

// endpoint accepts events at every path, as JSON, NDJSON or a form, and reports which events of a batch it refuses. It is safe
// for concurrent use.
type endpoint struct {
	secrets, refused, whole []string

	mu         sync.Mutex
	deliveries []delivery
}

// delivery is an accepted request.
type delivery struct {
	Method      string `json:"method"`
	Path        string `json:"path"`
	ContentType string `json:"contentType"`
	Events      []any  `json:"events"`
}

func (e *endpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the client is gone
	}
	if len(e.secrets) > 0 && !slices.ContainsFunc(e.secrets, func(secret string) bool { return hasSignature(secret, body, r.Header.Get("X-Signature")) }) {
		sandbox.WriteJSON(w, http.StatusUnauthorized, map[string]any{"message": "the signature is wrong"})
		return
	}
	events, err := eventsOf(r.Header.Get("Content-Type"), body)
	if err != nil {
		sandbox.WriteJSON(w, http.StatusBadRequest, map[string]any{"message": err.Error()})
		return
	}
	if slices.ContainsFunc(events, func(event any) bool { return containsAny(event, e.whole) }) {
		sandbox.WriteJSON(w, http.StatusUnprocessableEntity, map[string]any{"message": "one of the events is not wanted, so none is taken"})
		return
	}
	taken, errors := e.splitRefused(events)
	e.mu.Lock()
	if len(e.deliveries) < maxDeliveries {
		e.deliveries = append(e.deliveries, delivery{r.Method, r.URL.Path, r.Header.Get("Content-Type"), taken})
	}
	e.mu.Unlock()
	if len(errors) > 0 {
		sandbox.WriteJSON(w, http.StatusMultiStatus, map[string]any{"errors": errors})
		return
	}
	sandbox.WriteJSON(w, http.StatusOK, map[string]any{})
}

// refusal is the error of one event.
type refusal struct {
	Index   int    `json:"index"`
	Status  int    `json:"status"`
	Message string `json:"message"`
}

func (e *endpoint) splitRefused(events []any) (taken []any, errors []refusal) {
	taken = []any{}
	for i, event := range events {
		if containsAny(event, e.refused) {
			errors = append(errors, refusal{i, http.StatusUnprocessableEntity, "the event is not wanted"})
			continue
		}
		taken = append(taken, event)
	}
	return taken, errors
}

// containsAny reports whether an event contains one of the texts.
func containsAny(event any, texts []string) bool {
	text, _ := json.Marshal(event) // cannot fail for decoded JSON
	return slices.ContainsFunc(texts, func(part string) bool { return strings.Contains(string(text), part) })
}

// eventsOf returns the events of a body: those of a list, one per line, or one.
func eventsOf(contentType string, body []byte) ([]any, error) {
	if len(body) == 0 && contentType == "" {
		return nil, nil
	}
	kind, _, err := mime.ParseMediaType(contentType)
	if err != nil {
		return nil, err
	}
	if kind == "application/x-www-form-urlencoded" {
		values, err := url.ParseQuery(string(body))
		return []any{values}, err
	}
	var events []any
	decoder := json.NewDecoder(bytes.NewReader(body))
	for decoder.More() {
		var v any
		if err := decoder.Decode(&v); err != nil {
			return nil, err
		}
		if list, ok := v.([]any); ok && kind != "application/x-ndjson" {
			events = append(events, list...)
		} else {
			events = append(events, v)
		}
	}
	return events, nil
}

// hasSignature reports whether a header contains the HMAC of a body, in any format that the destination supports.
func hasSignature(secret string, body []byte, header string) bool {
	_, bare, ok := strings.Cut(header, "=")
	for _, hash := range []func() hash.Hash{sha1.New, sha256.New, sha512.New} {
		mac := hmac.New(hash, []byte(secret))
		mac.Write(body)
		sum := mac.Sum(nil)
		for _, want := range []string{hex.EncodeToString(sum), base64.StdEncoding.EncodeToString(sum)} {
			if hmac.Equal([]byte(want), []byte(header)) || ok && hmac.Equal([]byte(want), []byte(bare)) {
				return true
			}
		}
	}
	return false
}

// State returns {"deliveries": [{"method", "path", "contentType", "events"}]} with the first requests.
func (e *endpoint) State() any {
	e.mu.Lock()
	defer e.mu.Unlock()
	return map[string]any{"deliveries": append([]delivery{}, e.deliveries...)}
}

// Reset deletes the deliveries.
func (e *endpoint) Reset() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.deliveries = nil
}
