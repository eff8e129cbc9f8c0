// Package ingest takes events in over HTTP, as Segment's tracking API does, so that clients made for it work unmodified:
// POST /v1/track, identify, page, screen, group, alias, delete and batch, also without /v1, with the write key as the user of Basic
// authentication or as writeKey in the body.
//
// An answer of 200 means that the events have been handed on and that whoever takes them has said yes. The package keeps
// nothing and knows no queue. A Handler is safe for concurrent use.
package ingest

import (
	"cmp"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/landfall-dev/landfall/framework/event"
)

// Bounds as Segment has them.
const (
	DefaultMaxEvent = 32 << 10
	DefaultMaxBatch = 500 << 10
)

// Source is where events come from.
type Source struct {
	ID        string
	WriteKey  string
	PerSecond float64 // events taken a second, and twice that at once; 0 is no bound
	Deletes   bool    // events of type delete are taken: who has the write key may delete users
}

// Event is one that was taken: JSON in one line, with messageId, timestamp and receivedAt.
type Event struct {
	Source string
	Value  event.Value
	Raw    []byte
}

// Config is what a Handler works with. Zero fields have working defaults.
type Config struct {
	Sources []Source
	// Append takes the events of a request, all or none. Where it fails the client is told to come again.
	Append   func(context.Context, []Event) error
	Origins  []string // of browsers that may send; * is all
	MaxEvent int      // bytes of an event: DefaultMaxEvent
	MaxBatch int      // bytes of a request, also once it is decompressed: DefaultMaxBatch
	Count    func(source, outcome string, n int)
	Now      func() time.Time // the machine's clock, without its steps back
	Log      *slog.Logger
}

// Handler is the API.
type Handler struct {
	config  Config
	sources atomic.Pointer[map[string]*source]
	origins atomic.Pointer[[]string]
	mux     *http.ServeMux
}

// source is a Source with its rate.
type source struct {
	Source
	limit *rate.Limiter // nil where there is none
}

// kinds are the types of events by their paths, with the short ones of browsers.
var kinds = map[string]string{
	"track": "track", "identify": "identify", "page": "page", "screen": "screen", "group": "group", "alias": "alias", "delete": "delete",
	"t": "track", "i": "identify", "p": "page", "s": "screen", "g": "group", "a": "alias", "batch": "", "import": "", "b": "",
}

// New is a Handler.
func New(c Config) *Handler {
	c.MaxEvent = cmp.Or(c.MaxEvent, DefaultMaxEvent)
	c.MaxBatch = cmp.Or(c.MaxBatch, DefaultMaxBatch)
	if c.Now == nil {
		c.Now = newClock().now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Count == nil {
		c.Count = func(string, string, int) {}
	}
	h := &Handler{config: c, mux: http.NewServeMux()}
	h.Set(c.Sources, c.Origins)
	for path, kind := range kinds {
		for _, prefix := range []string{"/v1/", "/"} {
			h.mux.Handle(prefix+path, h.endpoint(kind))
		}
	}
	h.mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		fail(w, http.StatusNotFound, "there is no such path: send events to /v1/track, identify, page, screen, group, alias or batch")
	})
	return h
}

// Set changes the sources and origins for the requests to come. A source that stays as it was keeps what it has used of its
// rate.
func (h *Handler) Set(sources []Source, origins []string) {
	byKey := map[string]*source{}
	old := h.sources.Load()
	for _, s := range sources {
		if s.WriteKey == "" {
			continue
		}
		if old != nil && (*old)[s.WriteKey] != nil && (*old)[s.WriteKey].Source == s {
			byKey[s.WriteKey] = (*old)[s.WriteKey]
			continue
		}
		made := &source{Source: s}
		if s.PerSecond > 0 {
			made.limit = rate.NewLimiter(rate.Limit(s.PerSecond), max(int(2*s.PerSecond), 1))
		}
		byKey[s.WriteKey] = made
	}
	h.sources.Store(&byKey)
	h.origins.Store(&origins)
}

// ServeHTTP answers a request.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) { h.mux.ServeHTTP(w, r) }

// endpoint takes events of one type, or a batch of any where that is "".
func (h *Handler) endpoint(kind string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.allow(w, r)
		switch r.Method {
		case http.MethodOptions:
			w.WriteHeader(http.StatusNoContent)
		case http.MethodPost:
			h.post(w, r, kind)
		default:
			w.Header().Set("Allow", "POST, OPTIONS")
			fail(w, http.StatusMethodNotAllowed, "send events with POST")
		}
	})
}

// allow lets browsers of the origins read the answer.
func (h *Handler) allow(w http.ResponseWriter, r *http.Request) {
	origin, allowed := r.Header.Get("Origin"), *h.origins.Load()
	if origin == "" || len(allowed) == 0 {
		return
	}
	w.Header().Add("Vary", "Origin")
	if !slices.Contains(allowed, "*") && !slices.Contains(allowed, origin) {
		return
	}
	w.Header().Set("Access-Control-Allow-Origin", origin)
	w.Header().Set("Access-Control-Allow-Methods", "POST, OPTIONS")
	w.Header().Set("Access-Control-Allow-Headers", "Authorization, Content-Type, Content-Encoding")
	w.Header().Set("Access-Control-Max-Age", "86400")
}

func (h *Handler) post(w http.ResponseWriter, r *http.Request, kind string) {
	received := h.config.Now()
	body, status, problem := h.read(w, r)
	if problem != "" {
		h.config.Count("", "refused", 1)
		fail(w, status, problem)
		return
	}
	from := h.source(r, body)
	if from == nil {
		h.config.Count("", "unauthorized", 1)
		w.Header().Set("WWW-Authenticate", `Basic realm="write key"`)
		fail(w, http.StatusUnauthorized, "the write key is none of a source: send it as the user of Basic authentication, or as writeKey in the body")
		return
	}
	taken, rejected, problem := h.events(from, body, kind, received)
	h.config.Count(from.ID, "rejected", len(rejected))
	switch {
	case problem != "":
		fail(w, http.StatusBadRequest, problem)
		return
	case len(taken) == 0 && len(rejected) > 0 && rejected[0].large && kind != "":
		answer(w, http.StatusRequestEntityTooLarge, reply{Error: rejected[0].Error})
		return
	case len(taken) == 0 && len(rejected) > 0:
		h.config.Log.Warn("events rejected", "source", from.ID, "events", len(rejected), "reason", rejected[0].Error)
		answer(w, http.StatusBadRequest, reply{Error: rejected[0].Error, Rejected: batchOnly(kind, rejected)})
		return
	case len(rejected) > 0:
		h.config.Log.Warn("events rejected", "source", from.ID, "events", len(rejected), "reason", rejected[0].Error)
	}
	if from.limit != nil && !from.limit.AllowN(received, min(len(taken), from.limit.Burst())) {
		h.config.Count(from.ID, "limited", len(taken))
		later(w, http.StatusTooManyRequests, 1, "the source sends more events than its rate allows")
		return
	}
	if err := h.config.Append(r.Context(), taken); err != nil {
		h.config.Count(from.ID, "unavailable", len(taken))
		h.config.Log.Error("events cannot be taken", "source", from.ID, "error", err)
		later(w, http.StatusServiceUnavailable, 5, "the events cannot be kept now: send them again")
		return
	}
	h.config.Count(from.ID, "accepted", len(taken))
	answer(w, http.StatusOK, reply{Success: true, Rejected: rejected})
}

func batchOnly(kind string, list []Rejected) []Rejected {
	if kind != "" {
		return nil
	}
	return list
}

// source is the one whose write key a request has.
func (h *Handler) source(r *http.Request, body event.Value) *source {
	key, _, ok := r.BasicAuth()
	if !ok || key == "" {
		key = body.Get("writeKey").Str()
	}
	if key == "" {
		if bearer, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok {
			key = bearer
		}
	}
	return (*h.sources.Load())[key]
}

// reply is the body of an answer.
type reply struct {
	Success  bool       `json:"success"`
	Error    string     `json:"error,omitempty"`
	Rejected []Rejected `json:"rejected,omitempty"`
}

// Rejected is an event of a batch that was not taken, though others were.
type Rejected struct {
	Index     int    `json:"index"`
	MessageID string `json:"messageId,omitempty"`
	Error     string `json:"error"`
	large     bool
}

func fail(w http.ResponseWriter, status int, message string) {
	answer(w, status, reply{Error: message})
}

func later(w http.ResponseWriter, status, seconds int, message string) {
	w.Header().Set("Retry-After", strconv.Itoa(seconds))
	fail(w, status, message)
}

func answer(w http.ResponseWriter, status int, r reply) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(r) // who has gone away needs no answer
}
