// Package actionserver runs single actions of destinations over HTTP. Its API is that of Segment's local development server:
// POST /{action} with a payload, a mapping and settings, and routes for credential tests, deletions, choices and audiences.
//
// Every request is independent: there is no queue, no retry and no ledger. The response lists the requests that were sent, without
// secrets. A Handler is safe for concurrent use.
package actionserver

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/destination/httpx"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/server/access"
)

// Destination is a destination with the transport of its requests.
type Destination struct {
	destination.Entry
	Transport http.RoundTripper // httpx.NewTransport by default
}

// Config configures a Handler. Zero fields have working defaults.
type Config struct {
	Destinations []Destination
	Key          string        // bearer token that every request needs; if "", only requests from this machine are allowed
	MaxBody      int64         // bytes of a request body; default 4 MiB
	MaxEvents    int           // events of a batch; default 1,000
	Timeout      time.Duration // of a request, including all requests that it sends; default 30 s
	Parallel     int           // concurrent requests, others wait; default 16
	Env          destination.Environment
	Log          *slog.Logger // discards by default
}

// Handler serves the actions of its destinations.
type Handler struct {
	config Config
	slots  chan struct{}
	guard  *access.Guard
}

// New returns a Handler.
func New(c Config) *Handler {
	c.MaxBody = cmp.Or(c.MaxBody, 4<<20)
	c.MaxEvents = cmp.Or(c.MaxEvents, 1000)
	c.Timeout = cmp.Or(c.Timeout, 30*time.Second)
	c.Parallel = cmp.Or(c.Parallel, 16)
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	c.Destinations = slices.Clone(c.Destinations)
	for i := range c.Destinations {
		if d := &c.Destinations[i]; d.Transport == nil {
			d.Transport = httpx.NewTransport(httpx.TransportConfig{}) // shared by all requests
		}
	}
	guard := access.NewGuard(access.Config{Key: func() string { return c.Key }, AllowLocal: true, Log: c.Log})
	return &Handler{config: c, slots: make(chan struct{}, c.Parallel), guard: guard}
}

// ServeHTTP authenticates a request and runs its route.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if _, err := h.guard.Authenticate(r); err != nil {
		var limited *access.LimitedError
		if errors.As(err, &limited) {
			limited.SetRetryAfter(w.Header())
			writeError(w, http.StatusTooManyRequests, limited.Error())
			return
		}
		w.Header().Set("WWW-Authenticate", "Bearer")
		writeError(w, http.StatusUnauthorized, "requests need the key as a bearer token; if the server has no key, only requests from its own machine are allowed")
		return
	}
	d, rest, problem := h.findDestination(strings.Split(strings.Trim(r.URL.Path, "/"), "/"))
	if problem != "" {
		writeError(w, http.StatusNotFound, problem)
		return
	}
	if r.Method == http.MethodGet && len(rest) == 1 && rest[0] == "manifest" {
		writeJSON(w, http.StatusOK, d.Definition.Document.Value())
		return
	}
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", "POST")
		writeError(w, http.StatusMethodNotAllowed, "send a POST with a JSON body")
		return
	}
	body, status, problem := h.readBody(w, r)
	if problem != "" {
		writeError(w, status, problem)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), h.config.Timeout)
	defer cancel()
	select {
	case h.slots <- struct{}{}:
		defer func() { <-h.slots }()
	case <-ctx.Done():
		writeError(w, http.StatusServiceUnavailable, "too many concurrent requests: try again")
		return
	}
	h.dispatch(ctx, w, d, rest, body)
}

// findDestination returns the destination of a path and the path after its slug. The slug is optional if only one destination has the
// route. problem is the error message; "" if the destination was found.
func (h *Handler) findDestination(path []string) (d *Destination, rest []string, problem string) {
	for i := range h.config.Destinations {
		d := &h.config.Destinations[i]
		if d.Definition.Slug == path[0] || slices.Contains(d.Definition.Aliases, path[0]) {
			return d, path[1:], ""
		}
	}
	var slugs, actions []string
	for i := range h.config.Destinations {
		candidate := &h.config.Destinations[i]
		actions = append(actions, candidate.Definition.ActionKeys()...)
		if candidate.Definition.Action(path[0]) != nil || slices.Contains(otherRoutes, path[0]) {
			d, slugs = candidate, append(slugs, candidate.Definition.Slug)
		}
	}
	switch len(slugs) {
	case 1:
		return d, path, ""
	case 0:
		return nil, nil, fmt.Sprintf("there is no action %q%s", path[0], fault.DidYouMean(path[0], actions))
	}
	return nil, nil, fmt.Sprintf("several destinations have this route: use /%s/%s", strings.Join(slugs, "/"+path[0]+" or /"), path[0])
}

// otherRoutes are the routes that are not actions.
var otherRoutes = []string{"authenticate", "delete", "createAudience", "getAudience", "manifest"}

// dispatch runs the route of a path.
func (h *Handler) dispatch(ctx context.Context, w http.ResponseWriter, d *Destination, path []string, body event.Value) {
	c := &call{ctx: ctx, handler: h, destination: d, body: body}
	switch name := strings.Join(path, "/"); {
	case name == "authenticate":
		writeJSON(w, http.StatusOK, c.testCredentials())
	case name == "delete" && d.Plugin.OnDelete != nil:
		writeJSON(w, http.StatusOK, c.deleteUser())
	case name == "createAudience" && d.Plugin.CreateAudience != nil, name == "getAudience" && d.Plugin.GetAudience != nil:
		v, err := c.resolveAudience(name == "createAudience")
		writeResult(w, http.StatusBadRequest, v, err)
	case len(path) == 1 && d.Definition.Action(path[0]) != nil:
		writeJSON(w, http.StatusOK, c.performAction(path[0]))
	case len(path) == 2 && d.Definition.Action(path[0]) != nil:
		v, err := c.fetchChoices(path[0], path[1])
		writeResult(w, http.StatusInternalServerError, v, err)
	default:
		writeError(w, http.StatusNotFound, fmt.Sprintf("%s has no %q%s", d.Definition.Name, name, fault.DidYouMean(name, d.Definition.ActionKeys())))
	}
}

// writeResult responds with v, or with err and errorStatus.
func writeResult(w http.ResponseWriter, errorStatus int, v any, err error) {
	if err != nil {
		writeError(w, errorStatus, err.Error())
		return
	}
	writeJSON(w, http.StatusOK, v)
}

// readBody reads a JSON body with a size limit. It requires the JSON content type, because browsers do not send that to another origin
// without a preflight request.
func (h *Handler) readBody(w http.ResponseWriter, r *http.Request) (body event.Value, status int, problem string) {
	if kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); kind != "application/json" {
		return body, http.StatusUnsupportedMediaType, "the body must be JSON, with Content-Type: application/json"
	}
	raw, err := io.ReadAll(http.MaxBytesReader(w, r.Body, h.config.MaxBody))
	if err != nil {
		return body, http.StatusRequestEntityTooLarge, fmt.Sprintf("the body is larger than %d KB or cannot be read", h.config.MaxBody>>10)
	}
	body, err = event.ParseValue(raw)
	if err != nil {
		return body, http.StatusBadRequest, "the body is not valid JSON: " + err.Error()
	}
	if body.Kind() != event.Object {
		return body, http.StatusBadRequest, "the body should be an object but is " + body.Kind().WithArticle()
	}
	return body, 0, ""
}

// writeError responds with an error message.
func writeError(w http.ResponseWriter, status int, message string) {
	writeJSON(w, status, map[string]any{"ok": false, "error": message})
}

// writeJSON responds with a value as JSON.
func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the client may have disconnected
}
