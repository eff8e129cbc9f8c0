// Package actions serves one action of a destination at a time over HTTP, in the shapes of Segment's local development server:
// POST /{action} with a payload, a mapping and settings; the check of credentials, deletions, choices and audiences.
//
// Everything comes with the request and nothing is kept: there is no queue, no retry and no ledger, and an answer tells of the
// requests that were made. Secrets do not show in it. A Handler is safe for concurrent use.
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

// Destination is one that is served, and what its requests go to.
type Destination struct {
	destination.Entry
	Transport http.RoundTripper // httpx.NewTransport by default
}

// Config is what a Handler works with. Zero fields have working defaults.
type Config struct {
	Destinations []Destination
	Key          string        // a bearer token that every request needs; "" lets in this machine, and nobody else
	MaxBody      int64         // bytes of a request: 4 MiB
	MaxEvents    int           // of a batch: 1,000
	Timeout      time.Duration // of a request, with all that it makes: 30 s
	Parallel     int           // requests at once; further ones wait: 16
	Env          destination.Environment
	Log          *slog.Logger // silent by default
}

// Handler answers requests.
type Handler struct {
	config Config
	turns  chan struct{}
	guard  *access.Guard
}

// New is a Handler.
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
			d.Transport = httpx.NewTransport(httpx.TransportConfig{}) // one for all requests
		}
	}
	guard := access.NewGuard(access.Config{Key: func() string { return c.Key }, AllowLocal: true, Log: c.Log})
	return &Handler{config: c, turns: make(chan struct{}, c.Parallel), guard: guard}
}

// ServeHTTP answers a request: let in, for a destination, one of its routes.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if _, err := h.guard.Authenticate(r); err != nil {
		var limited *access.LimitedError
		if errors.As(err, &limited) {
			limited.SetRetryAfter(w.Header())
			refuse(w, http.StatusTooManyRequests, limited.Error())
			return
		}
		w.Header().Set("WWW-Authenticate", "Bearer")
		refuse(w, http.StatusUnauthorized, "requests need the key as a bearer token; without a key, only this machine is let in")
		return
	}
	d, rest, problem := h.find(strings.Split(strings.Trim(r.URL.Path, "/"), "/"))
	if problem != "" {
		refuse(w, http.StatusNotFound, problem)
		return
	}
	if r.Method == http.MethodGet && len(rest) == 1 && rest[0] == "manifest" {
		answer(w, http.StatusOK, d.Definition.Document.Value())
		return
	}
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", "POST")
		refuse(w, http.StatusMethodNotAllowed, "send a POST with a JSON body")
		return
	}
	body, status, problem := h.read(w, r)
	if problem != "" {
		refuse(w, status, problem)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), h.config.Timeout)
	defer cancel()
	select {
	case h.turns <- struct{}{}:
		defer func() { <-h.turns }()
	case <-ctx.Done():
		refuse(w, http.StatusServiceUnavailable, "too many requests are under way: try again")
		return
	}
	h.route(ctx, w, d, rest, body)
}

// find is the destination of a path, and what stands behind its slug. The slug may be left out where no other destination has
// the route.
func (h *Handler) find(path []string) (d *Destination, rest []string, problem string) {
	for i := range h.config.Destinations {
		d := &h.config.Destinations[i]
		if d.Definition.Slug == path[0] || slices.Contains(d.Definition.Aliases, path[0]) {
			return d, path[1:], ""
		}
	}
	var slugs, actions []string
	for i := range h.config.Destinations {
		one := &h.config.Destinations[i]
		actions = append(actions, one.Definition.ActionKeys()...)
		if one.Definition.Action(path[0]) != nil || slices.Contains(routes, path[0]) {
			d, slugs = one, append(slugs, one.Definition.Slug)
		}
	}
	switch len(slugs) {
	case 1:
		return d, path, ""
	case 0:
		return nil, nil, fmt.Sprintf("there is no action %q%s", path[0], fault.DidYouMean(path[0], actions))
	}
	return nil, nil, fmt.Sprintf("say which destination: /%s/%s", strings.Join(slugs, "/"+path[0]+" or /"), path[0])
}

// routes are those beside actions.
var routes = []string{"authenticate", "delete", "createAudience", "getAudience", "manifest"}

// route calls what stands behind a path.
func (h *Handler) route(ctx context.Context, w http.ResponseWriter, d *Destination, path []string, body event.Value) {
	c := &call{ctx: ctx, handler: h, destination: d, body: body}
	switch name := strings.Join(path, "/"); {
	case name == "authenticate":
		answer(w, http.StatusOK, c.authenticate())
	case name == "delete" && d.Plugin.OnDelete != nil:
		answer(w, http.StatusOK, c.remove())
	case name == "createAudience" && d.Plugin.CreateAudience != nil, name == "getAudience" && d.Plugin.GetAudience != nil:
		v, err := c.audience(name == "createAudience")
		reply(w, http.StatusBadRequest, v, err)
	case len(path) == 1 && d.Definition.Action(path[0]) != nil:
		answer(w, http.StatusOK, c.perform(path[0]))
	case len(path) == 2 && d.Definition.Action(path[0]) != nil:
		v, err := c.choices(path[0], path[1])
		reply(w, http.StatusInternalServerError, v, err)
	default:
		refuse(w, http.StatusNotFound, fmt.Sprintf("%s has no %q%s", d.Definition.Name, name, fault.DidYouMean(name, d.Definition.ActionKeys())))
	}
}

func reply(w http.ResponseWriter, wrong int, v any, err error) {
	if err != nil {
		refuse(w, wrong, err.Error())
		return
	}
	answer(w, http.StatusOK, v)
}

// read reads a body of JSON, bounded. That it says so keeps pages in browsers out: they would have to ask first.
func (h *Handler) read(w http.ResponseWriter, r *http.Request) (body event.Value, status int, problem string) {
	if kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); kind != "application/json" {
		return body, http.StatusUnsupportedMediaType, "the body should be JSON, with Content-Type: application/json"
	}
	raw, err := io.ReadAll(http.MaxBytesReader(w, r.Body, h.config.MaxBody))
	if err != nil {
		return body, http.StatusRequestEntityTooLarge, fmt.Sprintf("the body cannot be read, or is larger than %d KB", h.config.MaxBody>>10)
	}
	body, err = event.ParseValue(raw)
	if err != nil {
		return body, http.StatusBadRequest, "the body is no JSON: " + err.Error()
	}
	if body.Kind() != event.Object {
		return body, http.StatusBadRequest, "the body should be an object but is " + body.Kind().WithArticle()
	}
	return body, 0, ""
}

func refuse(w http.ResponseWriter, status int, message string) {
	answer(w, status, map[string]any{"ok": false, "error": message})
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // who has gone away needs no answer
}
