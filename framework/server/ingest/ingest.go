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
	"log/slog"
	"net/http"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/event/incoming"
)

// Bounds as Segment has them.
const (
	DefaultMaxEvent = 32 << 10
	DefaultMaxBatch = 500 << 10
)

// Bounds of the server.
const (
	DefaultMaxMemory = 256 << 20
	DefaultMaxBodies = 256
	DefaultBodyGrace = 10 * time.Second
	DefaultBodyRate  = 4 << 10
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
	// MaxFuture is how far an event's time may lie ahead of its receipt, which otherwise stands in for it: incoming.DefaultMaxFuture.
	MaxFuture time.Duration
	// MaxMemory is how many bytes all requests in progress may hold together: DefaultMaxMemory. Beyond it they are answered 503.
	MaxMemory int64
	MaxBodies int           // of one client address that are being received at once: DefaultMaxBodies
	BodyGrace time.Duration // after which a body must have come at BodyRate bytes a second: DefaultBodyGrace
	BodyRate  int           // DefaultBodyRate
	// ClientAddr returns the address that limits by address count; by default that of the connection.
	ClientAddr func(*http.Request) netip.Addr
	Count      func(source, outcome string, n int)
	Now        func() time.Time // the machine's clock, without its steps back
	Log        *slog.Logger
}

// Handler is the API.
type Handler struct {
	config  Config
	sources atomic.Pointer[map[string]*source]
	origins atomic.Pointer[[]string]
	memory  memory
	bodies  *peers

	normalizer *incoming.Normalizer
}

// source is a Source with its rate.
type source struct {
	Source
	limit *bucket
}

// New is a Handler.
func New(c Config) *Handler {
	c.MaxEvent = cmp.Or(c.MaxEvent, DefaultMaxEvent)
	c.MaxBatch = cmp.Or(c.MaxBatch, DefaultMaxBatch)
	c.MaxMemory, c.MaxBodies = cmp.Or(c.MaxMemory, DefaultMaxMemory), cmp.Or(c.MaxBodies, DefaultMaxBodies)
	c.BodyGrace, c.BodyRate = cmp.Or(c.BodyGrace, DefaultBodyGrace), cmp.Or(c.BodyRate, DefaultBodyRate)
	if c.ClientAddr == nil {
		c.ClientAddr = remoteAddr
	}
	if c.Now == nil {
		c.Now = newClock().now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Count == nil {
		c.Count = func(string, string, int) {}
	}
	h := &Handler{config: c, memory: memory{most: c.MaxMemory}, bodies: newPeers(c.MaxBodies)}
	h.normalizer = incoming.New(c.MaxFuture)
	h.Set(c.Sources, c.Origins)
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
		made := &source{Source: s, limit: newBucket(s.PerSecond)}
		byKey[s.WriteKey] = made
	}
	h.sources.Store(&byKey)
	origins = normalOrigins(origins)
	h.origins.Store(&origins)
}

// ServeHTTP answers a request.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.allowOrigin(w, r)
	kind, ok := kindOf(r.URL.Path)
	switch {
	case r.ProtoMajor != 1 && r.TLS == nil:
		w.Header().Set("Connection", "close")
		answer(w, http.StatusHTTPVersionNotSupported, reply{Error: "without TLS, send HTTP/1.1"})
	case !ok:
		answer(w, http.StatusNotFound, reply{Error: "there is no such path: send events to /v1/track, identify, page, screen, group, alias or batch"})
	case r.Method == http.MethodOptions:
		w.WriteHeader(http.StatusNoContent)
	case r.Method == http.MethodPost:
		h.post(w, r, kind)
	default:
		w.Header().Set("Allow", "POST, OPTIONS")
		answer(w, http.StatusMethodNotAllowed, reply{Error: "send events with POST"})
	}
}
