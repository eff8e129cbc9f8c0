// Package admin implements the admin API of a running server and its client: health, metrics, delivery status, dead letters, replays,
// backups and reloading, over HTTP.
//
// Health needs no authentication. Everything else needs the admin key; without an admin key, only programs on the server's machine are
// allowed. The package must not know how a server is started or configured. A Server and a Client are safe for concurrent use.
package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/landfall-dev/landfall/framework/delivery"
	"github.com/landfall-dev/landfall/framework/dispatch/budget"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/language/fql"
	"github.com/landfall-dev/landfall/framework/server/access"
	"github.com/landfall-dev/landfall/framework/server/audienceruns"
	"github.com/landfall-dev/landfall/framework/server/erasure"
	"github.com/landfall-dev/landfall/framework/server/why"
)

// Server serves the admin API.
type Server struct {
	Queue         *delivery.Queue
	Runner        *delivery.Runner                       // nil if the program delivers nothing
	Status        func() []delivery.Status               // nil if the program delivers nothing
	Health        func(context.Context) delivery.Health  // may be nil
	Resume        func(instance string) (bool, error)    // ends the rate-limit pauses of an instance, and reports whether there were any; may be nil
	Sources       func(instance string) ([]string, bool) // the source ids of an instance, none for all sources; false if the config has no such instance
	Subscriptions func(instance string) []string         // the names of an instance's subscriptions
	Reload        func(context.Context) error            // may be nil
	OnMove        func()                                 // is called after data of a removed instance was moved or deleted; may be nil
	Metrics       http.Handler                           // may be nil
	Backup        func(context.Context, io.Writer) error // writes a backup; may be nil
	Why           *why.Source                            // answers why users are missing; may be nil
	Syncs         *audienceruns.Scheduler                // may be nil
	Erasures      erasure.Desk                           // its Store is nil if users cannot be erased
	Budgets       func(name string) (budget.Store, bool) // lends the store of a budget to a command; may be nil
	Guard         *access.Guard                          // authenticates requests and writes the audit log
}

// markHeader is required in requests without the admin key. Pages in a browser cannot set it.
const markHeader = "Landfall-Admin"

// Handler returns the routes of the admin API.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok\n") })
	mux.HandleFunc("GET /readyz", s.handleReady)
	mux.Handle("GET /metrics", s.requireAccess(true, s.handleMetrics))
	mux.Handle("GET /admin/status", s.requireAccess(false, s.handleStatus))
	mux.Handle("GET /admin/letters", s.requireAccess(false, s.handleDeadLetters))
	mux.Handle("POST /admin/letters/replay", s.requireAccess(false, s.changeDeadLetters("letters.replay", func(q *delivery.Queue) changer { return q.ReplayDeadLetters })))
	mux.Handle("POST /admin/letters/drop", s.requireAccess(false, s.changeDeadLetters("letters.drop", func(q *delivery.Queue) changer { return q.DropDeadLetters })))
	mux.Handle("GET /admin/instances", s.requireAccess(false, s.handleInstances))
	mux.Handle("POST /admin/instances/rename", s.requireAccess(false, s.handleInstanceChange))
	mux.Handle("POST /admin/instances/forget", s.requireAccess(false, s.handleInstanceChange))
	mux.Handle("POST /admin/replay", s.requireAccess(false, s.handleReplay))
	mux.Handle("POST /admin/resume", s.requireAccess(false, s.handleResume))
	mux.Handle("POST /admin/reload", s.requireAccess(false, s.handleReload))
	mux.Handle("GET /admin/why", s.requireAccess(false, s.handleWhy))
	s.addMaintenanceRoutes(mux)
	s.addAudienceRoutes(mux)
	s.addErasureRoutes(mux)
	s.addBudgetRoutes(mux)
	return mux
}

// requireAccess allows only requests that the Guard authenticates. A request without a bearer token must have the markHeader, unless
// browserAllowed is set.
func (s *Server) requireAccess(browserAllowed bool, next http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		actor, err := s.Guard.Authenticate(r)
		if err == nil && !browserAllowed && access.Bearer(r) == "" && r.Header.Get(markHeader) == "" {
			err = access.ErrUnauthorized
		}
		if err != nil {
			s.denyAccess(w, r, err)
			return
		}
		next(w, r.WithContext(access.WithActor(r.Context(), actor)))
	})
}

// denyAccess responds to a request that is not authenticated.
func (s *Server) denyAccess(w http.ResponseWriter, r *http.Request, err error) {
	var limited *access.LimitedError
	if errors.As(err, &limited) {
		limited.SetRetryAfter(w.Header())
		writeError(w, http.StatusTooManyRequests, limited)
		return
	}
	message := "this needs the admin key as a bearer token"
	switch {
	case !s.Guard.HasKey():
		message = "no admin key is set, so only programs on the server's machine have access: send the request to localhost, with the header " + markHeader + ": 1"
	case access.Bearer(r) != "":
		message = "this is not the server's admin key"
	}
	w.Header().Set("WWW-Authenticate", "Bearer")
	writeError(w, http.StatusUnauthorized, errors.New(message))
}

func (s *Server) handleMetrics(w http.ResponseWriter, r *http.Request) {
	if s.Metrics == nil {
		http.NotFound(w, r)
		return
	}
	s.Metrics.ServeHTTP(w, r)
}

func (s *Server) handleStatus(w http.ResponseWriter, _ *http.Request) {
	list := []delivery.Status{}
	if s.Status != nil {
		list = s.Status()
	}
	writeJSON(w, http.StatusOK, list)
}

func (s *Server) handleDeadLetters(w http.ResponseWriter, r *http.Request) {
	f, err := readFilter(r.URL.Query())
	if err != nil {
		writeError(w, http.StatusBadRequest, err)
		return
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	parts := &partsWriter{ResponseWriter: w}
	lines := json.NewEncoder(parts)
	lines.SetEscapeHTML(false)
	if err := s.Queue.DeadLetters(r.Context(), f, func(l *delivery.DeadLetter) error { return lines.Encode(l) }); err != nil {
		parts.fail(err)
	}
}

// changer changes the dead letters that match a filter, and returns their number.
type changer func(context.Context, delivery.DeadLetterFilter) (int, error)

// changeDeadLetters returns the handler for a change of dead letters. action is its name in the audit log.
func (s *Server) changeDeadLetters(action string, method func(*delivery.Queue) changer) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		f, err := readFilter(r.URL.Query())
		if err != nil {
			writeError(w, http.StatusBadRequest, err)
			return
		}
		f.IsRemoved = s.isRemoved
		n, err := method(s.Queue)(r.Context(), f)
		s.Guard.Record(r.Context(), action, err, append(filterAttributes(f), "count", n)...)
		var removed *delivery.RemovedInstanceError
		if errors.As(err, &removed) {
			writeError(w, http.StatusConflict, err)
			return
		}
		if err != nil {
			writeError(w, http.StatusInternalServerError, err)
			return
		}
		writeJSON(w, http.StatusOK, Changed{n})
	}
}

// Resumed reports whether a request has ended pauses of an instance.
type Resumed struct {
	Resumed bool `json:"resumed"` // false if nothing was paused
}

// Changed is the number of dead letters or events that a request changed.
type Changed struct {
	Count int `json:"count"`
}

// ReplayRequest asks to deliver stored events of an instance again.
type ReplayRequest struct {
	Instance     string    `json:"instance"`
	Subscription string    `json:"subscription,omitempty"` // deliver to this subscription only
	Subscribe    string    `json:"subscribe,omitempty"`    // FQL filter for the events
	Sources      []string  `json:"sources,omitempty"`      // ids of the sources whose events to deliver; none for all of the instance
	Since        time.Time `json:"since"`
	Until        time.Time `json:"until,omitzero"`
}

// chooseSources returns the sources of a replay. received are the sources of the instance, none for all.
func (r *ReplayRequest) chooseSources(received []string) ([]string, error) {
	if len(r.Sources) == 0 {
		return received, nil
	}
	for _, id := range r.Sources {
		switch {
		case id == "":
			return nil, errors.New("the id of a source is empty")
		case len(received) > 0 && !slices.Contains(received, id):
			return nil, fmt.Errorf("%s does not receive events of the source %q%s", r.Instance, id, fault.DidYouMean(id, received))
		}
	}
	return r.Sources, nil
}

// attributes describes the request in the audit log. The query is left out: it may contain personal data.
func (r *ReplayRequest) attributes() []any {
	list := []any{"instance", r.Instance, "since", r.Since, "by_query", r.Subscribe != ""}
	if !r.Until.IsZero() {
		list = append(list, "until", r.Until)
	}
	if r.Subscription != "" {
		list = append(list, "subscription", r.Subscription)
	}
	if len(r.Sources) > 0 {
		list = append(list, "sources", strings.Join(r.Sources, ","))
	}
	return list
}

func (s *Server) handleReplay(w http.ResponseWriter, r *http.Request) {
	var request ReplayRequest
	if err := json.NewDecoder(event.ReaderWithoutBOM(http.MaxBytesReader(w, r.Body, 1<<20))).Decode(&request); err != nil {
		writeError(w, http.StatusBadRequest, fmt.Errorf("the body is not a valid replay request: %w", err))
		return
	}
	received, ok := s.Sources(request.Instance)
	if !ok {
		writeError(w, http.StatusBadRequest, fmt.Errorf("there is no instance %q", request.Instance))
		return
	}
	sources, err := request.chooseSources(received)
	if err != nil {
		writeError(w, http.StatusBadRequest, err)
		return
	}
	if names := s.Subscriptions(request.Instance); request.Subscription != "" && !slices.Contains(names, request.Subscription) {
		writeError(w, http.StatusBadRequest, fmt.Errorf("%s has no subscription %q%s", request.Instance, request.Subscription, fault.DidYouMean(request.Subscription, names)))
		return
	}
	replay := delivery.ReplayRequest{Instance: request.Instance, Subscription: request.Subscription, Sources: sources, Since: request.Since, Until: request.Until}
	if request.Subscribe != "" {
		query, err := fql.Compile(request.Subscribe)
		if err != nil {
			writeError(w, http.StatusBadRequest, err)
			return
		}
		replay.Choose = func(e event.Value) bool { return query.Match(e) }
	}
	n, err := s.Queue.Replay(r.Context(), replay)
	s.Guard.Record(r.Context(), "events.replay", err, append(request.attributes(), "count", n)...)
	if err != nil {
		writeError(w, http.StatusInternalServerError, err)
		return
	}
	writeJSON(w, http.StatusOK, Changed{n})
}

func (s *Server) handleResume(w http.ResponseWriter, r *http.Request) {
	if s.Resume == nil {
		writeError(w, http.StatusNotFound, errors.New("this program delivers nothing, so there is nothing to resume"))
		return
	}
	switch waited, err := s.Resume(r.URL.Query().Get("instance")); {
	case errors.Is(err, delivery.ErrUnknownInstance):
		writeError(w, http.StatusBadRequest, err)
	case err != nil:
		writeError(w, http.StatusInternalServerError, err)
	default:
		writeJSON(w, http.StatusOK, Resumed{waited})
	}
}

func (s *Server) handleReload(w http.ResponseWriter, r *http.Request) {
	if s.Reload == nil {
		writeError(w, http.StatusNotFound, errors.New("this program has no config to reload"))
		return
	}
	err := s.Reload(r.Context())
	s.Guard.Record(r.Context(), "config.reload", err)
	if err != nil {
		writeError(w, http.StatusBadRequest, err)
		return
	}
	writeJSON(w, http.StatusOK, map[string]bool{"reloaded": true})
}

// writeJSON responds with a value as JSON.
func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the client may have disconnected
}

// errorBody is the JSON body of an error response.
type errorBody struct {
	Error string `json:"error"`
}

// writeError responds with an error as JSON.
func writeError(w http.ResponseWriter, status int, err error) {
	writeJSON(w, status, errorBody{err.Error()})
}

// statusOf returns the status of the response to an error.
func statusOf(err error) int {
	var order *erasure.OrderError
	var choice *audienceruns.ChoiceError
	switch {
	case errors.As(err, &order), errors.As(err, &choice), errors.Is(err, why.ErrNoUser):
		return http.StatusBadRequest
	case errors.Is(err, erasure.ErrUnknown):
		return http.StatusNotFound
	case errors.Is(err, audienceruns.ErrNotWaiting):
		return http.StatusConflict
	case errors.Is(err, erasure.ErrTooMany):
		return http.StatusTooManyRequests
	}
	return http.StatusInternalServerError
}

// writeResult responds with a value as JSON, or with an error if there is one.
func writeResult(w http.ResponseWriter, status int, v any, err error) {
	if err != nil {
		writeError(w, statusOf(err), err)
		return
	}
	writeJSON(w, status, v)
}

// requirePart returns a handler that responds with an error if the program lacks the part of the server that it needs.
func requirePart(has func() bool, missing error, handler http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if !has() {
			writeError(w, http.StatusNotFound, missing)
			return
		}
		handler(w, r)
	}
}
