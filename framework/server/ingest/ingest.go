// Package ingest receives events over HTTP. It is compatible with Segment's tracking API, so that existing clients work unmodified:
// POST /v1/track, identify, page, screen, group, alias, delete and batch, also without /v1, with the write key as the user of Basic
// authentication or as writeKey in the body.
//
// Status 200 means that Config.Append has accepted the events. The package must not depend on the queue, and stores nothing. A Handler
// is safe for concurrent use.
package ingest

import (
	"cmp"
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"path"
	"sync/atomic"
	"time"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/event/incoming"
)

// Default limits in bytes, the same as Segment's.
const (
	DefaultMaxEvent = 32 << 10
	DefaultMaxBatch = 500 << 10
)

// Default limits of the server.
const (
	DefaultMaxMemory = 256 << 20
	DefaultMaxBodies = 256
	DefaultBodyGrace = 10 * time.Second
	DefaultBodyRate  = 4 << 10
)

// Source is a source of events with its write key.
type Source struct {
	ID        string
	WriteKey  string
	PerSecond float64 // accepted events per second, with bursts of twice that; 0 means no limit
	Deletes   bool    // accept events of type delete, so that the write key can be used to delete users
	Erases    bool    // accept events of type delete, and pass them to Config.Erase instead of Append
}

// Event is an accepted event. Raw is JSON on one line, with messageId, timestamp and receivedAt.
type Event struct {
	Source string
	Value  event.Value
	Raw    []byte
}

// Config configures a Handler. Zero fields have working defaults.
type Config struct {
	Sources []Source
	// Append stores the events of a request, all or none. If it fails, the client is asked to retry. It must not keep their Values, or texts of
	// these, after it has returned.
	Append func(context.Context, []Event) error
	// Erase requests the erasure of the users of events of type delete, before Append is called. It may be nil if no source has Erases. If it
	// fails, the client is asked to retry.
	Erase func(ctx context.Context, source string, events []event.Value) error
	// Map answers POST /v1/device/map with JSON: the payloads of one event, which is not stored. If it is nil, the path is unknown.
	Map      func(context.Context, Event) ([]byte, error)
	Origins  []string // allowed origins of browsers; * allows all
	MaxEvent int      // bytes of an event; default DefaultMaxEvent
	MaxBatch int      // bytes of a request, before and after decompression; default DefaultMaxBatch
	// MaxFuture is how far an event's time can be ahead of its receipt; see event.LimitFuture. The default is incoming.DefaultMaxFuture.
	MaxFuture time.Duration
	// MaxMemory is the number of bytes that all requests in progress can hold together; default DefaultMaxMemory. Requests beyond it get
	// status 503.
	MaxMemory int64
	MaxBodies int           // concurrent request bodies per client address; default DefaultMaxBodies
	BodyGrace time.Duration // time after which a body must arrive at BodyRate; default DefaultBodyGrace
	BodyRate  int           // bytes per second; default DefaultBodyRate
	// ClientAddr returns the client address for limits per address; by default the address of the connection.
	ClientAddr func(*http.Request) netip.Addr
	Count      func(source, outcome string, n int) // counts events for metrics; may be nil
	// Suppressed reports whether the user of an event is suppressed, so that the event is refused; may be nil.
	Suppressed func(event.Value) bool
	// Reject receives each event that is not accepted because of what it contains, with the reason; may be nil. It does not receive the
	// events of suppressed users.
	Reject func(source string, v event.Value, reason string)
	Now    func() time.Time // by default the machine's clock, without backward steps
	Log    *slog.Logger
}

// Handler serves the tracking API.
type Handler struct {
	config  Config
	sources atomic.Pointer[map[string]*source]
	origins atomic.Pointer[[]string]
	memory  memoryBudget
	bodies  *addressCounter
	buffers bufferPool

	normalizer *incoming.Normalizer
}

// source is a Source with its rate limit.
type source struct {
	Source
	limit    *bucket
	mapLimit *bucket // of requests to Config.Map, which take nothing of the rate of events
}

// New returns a Handler.
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
	if c.Reject == nil {
		c.Reject = func(string, event.Value, string) {}
	}
	if c.Count == nil {
		c.Count = func(string, string, int) {}
	}
	h := &Handler{config: c, memory: memoryBudget{limit: c.MaxMemory}, bodies: newAddressCounter(c.MaxBodies)}
	h.normalizer = incoming.New(c.MaxFuture)
	h.SetSources(c.Sources, c.Origins)
	return h
}

// SetSources changes the sources and origins for later requests. An unchanged source keeps the state of its rate limit.
func (h *Handler) SetSources(sources []Source, origins []string) {
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
		made := &source{Source: s, limit: newBucket(s.PerSecond), mapLimit: newBucket(s.PerSecond)}
		byKey[s.WriteKey] = made
	}
	h.sources.Store(&byKey)
	origins = normalOrigins(origins)
	h.origins.Store(&origins)
}

// ServeHTTP handles a request of the tracking API.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.AllowOrigin(w, r, "POST, OPTIONS")
	kind, ok := kindOf(r.URL.Path)
	maps := h.config.Map != nil && path.Clean("/"+r.URL.Path) == mapPath
	switch {
	case r.ProtoMajor != 1 && r.TLS == nil:
		w.Header().Set("Connection", "close")
		writeReply(w, http.StatusHTTPVersionNotSupported, reply{Error: "without TLS, send HTTP/1.1"})
	case !ok && !maps:
		writeReply(w, http.StatusNotFound, reply{Error: "unknown path: send events to /v1/track, identify, page, screen, group, alias or batch"})
	case r.Method == http.MethodOptions:
		w.WriteHeader(http.StatusNoContent)
	case r.Method == http.MethodPost:
		h.handlePost(w, r, kind, maps)
	default:
		w.Header().Set("Allow", "POST, OPTIONS")
		writeReply(w, http.StatusMethodNotAllowed, reply{Error: "send events with POST"})
	}
}
