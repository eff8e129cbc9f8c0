// Package admin is the way into a running server for those who run it: how far the delivery is, letters that were set aside,
// replays, reloading, health and metrics, over HTTP; and the client of it.
//
// Health is for everybody. The rest is for this machine, or for who has the key. A Server and a Client are safe for concurrent
// use.
package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/landfall-dev/landfall/framework/delivery"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fql"
	"github.com/landfall-dev/landfall/framework/httpx"
)

// Server answers admin requests.
type Server struct {
	Queue   *delivery.Queue
	Status  func() []delivery.Status               // nil where nothing is delivered
	Ready   func(context.Context) error            // why no events can be taken, nil where they can; may be nil
	Sources func(instance string) ([]string, bool) // the sources of an instance, none for all; false where there is no such
	Reload  func(context.Context) error            // may be nil
	Metrics http.Handler                           // may be nil
	Key     func() string                          // for requests from elsewhere; "" lets nobody in
}

// header must be set by requests without the key, so that no page in a browser can make them.
const header = "Landfall-Admin"

// Handler is the server's routes.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok\n") })
	mux.HandleFunc("GET /readyz", s.ready)
	mux.Handle("GET /metrics", s.guard(true, s.metrics))
	mux.Handle("GET /admin/status", s.guard(false, s.status))
	mux.Handle("GET /admin/letters", s.guard(false, s.letters))
	mux.Handle("POST /admin/letters/replay", s.guard(false, s.change(func(q *delivery.Queue) changer { return q.Resend })))
	mux.Handle("POST /admin/letters/drop", s.guard(false, s.change(func(q *delivery.Queue) changer { return q.Discard })))
	mux.Handle("POST /admin/replay", s.guard(false, s.replay))
	mux.Handle("POST /admin/reload", s.guard(false, s.reload))
	return mux
}

// guard lets in who has the key, and this machine where nobody stands between. Reading without a mark is for programs that
// cannot set one.
func (s *Server) guard(unmarked bool, next http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.Key != nil && httpx.Opens(httpx.Bearer(r), s.Key()) {
			next(w, r)
			return
		}
		if !httpx.Local(r) || !unmarked && r.Header.Get(header) == "" {
			w.Header().Set("WWW-Authenticate", "Bearer")
			fail(w, http.StatusUnauthorized, errors.New("admin requests need the admin key as a bearer token; on the server's own machine, asked for as localhost, the header "+header+": 1 will do"))
			return
		}
		next(w, r)
	})
}

func (s *Server) ready(w http.ResponseWriter, r *http.Request) {
	if s.Ready != nil {
		if err := s.Ready(r.Context()); err != nil {
			w.WriteHeader(http.StatusServiceUnavailable)
			fmt.Fprintln(w, err)
			return
		}
	}
	_, _ = io.WriteString(w, "ready\n")
}

func (s *Server) metrics(w http.ResponseWriter, r *http.Request) {
	if s.Metrics == nil {
		http.NotFound(w, r)
		return
	}
	s.Metrics.ServeHTTP(w, r)
}

func (s *Server) status(w http.ResponseWriter, _ *http.Request) {
	list := []delivery.Status{}
	if s.Status != nil {
		list = s.Status()
	}
	answer(w, http.StatusOK, list)
}

func (s *Server) letters(w http.ResponseWriter, r *http.Request) {
	f, err := readFilter(r.URL.Query())
	if err != nil {
		fail(w, http.StatusBadRequest, err)
		return
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	lines := json.NewEncoder(w)
	lines.SetEscapeHTML(false)
	if err := s.Queue.Letters(r.Context(), f, func(l *delivery.Letter) error { return lines.Encode(l) }); err != nil {
		panic(http.ErrAbortHandler) // what has been written is not all there is
	}
}

type changer func(context.Context, delivery.Filter) (int, error)

func (s *Server) change(of func(*delivery.Queue) changer) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		f, err := readFilter(r.URL.Query())
		if err != nil {
			fail(w, http.StatusBadRequest, err)
			return
		}
		n, err := of(s.Queue)(r.Context(), f)
		if err != nil {
			fail(w, http.StatusInternalServerError, err)
			return
		}
		answer(w, http.StatusOK, Changed{n})
	}
}

// Changed is how many letters or events something was done to.
type Changed struct {
	Count int `json:"count"`
}

// Replay asks for kept events once more.
type Replay struct {
	Instance     string    `json:"instance"`
	Subscription string    `json:"subscription,omitempty"` // the only one that gets them
	Subscribe    string    `json:"subscribe,omitempty"`    // FQL that chooses them
	Since        time.Time `json:"since"`
	Until        time.Time `json:"until,omitzero"`
}

func (s *Server) replay(w http.ResponseWriter, r *http.Request) {
	var asked Replay
	if err := json.NewDecoder(event.ReaderWithoutBOM(http.MaxBytesReader(w, r.Body, 1<<20))).Decode(&asked); err != nil {
		fail(w, http.StatusBadRequest, fmt.Errorf("the body is no replay: %w", err))
		return
	}
	sources, ok := s.Sources(asked.Instance)
	if !ok {
		fail(w, http.StatusBadRequest, fmt.Errorf("there is no instance %q", asked.Instance))
		return
	}
	again := delivery.Again{Instance: asked.Instance, Subscription: asked.Subscription, Sources: sources, Since: asked.Since, Until: asked.Until}
	if asked.Subscribe != "" {
		query, err := fql.Compile(asked.Subscribe)
		if err != nil {
			fail(w, http.StatusBadRequest, err)
			return
		}
		again.Choose = func(e event.Value) bool { return query.Match(e) }
	}
	n, err := s.Queue.Replay(r.Context(), again)
	if err != nil {
		fail(w, http.StatusInternalServerError, err)
		return
	}
	answer(w, http.StatusOK, Changed{n})
}

func (s *Server) reload(w http.ResponseWriter, r *http.Request) {
	if s.Reload == nil {
		fail(w, http.StatusNotFound, errors.New("nothing runs that could be reloaded"))
		return
	}
	if err := s.Reload(r.Context()); err != nil {
		fail(w, http.StatusBadRequest, err)
		return
	}
	answer(w, http.StatusOK, map[string]bool{"reloaded": true})
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // who has gone away needs no answer
}

type failure struct {
	Error string `json:"error"`
}

func fail(w http.ResponseWriter, status int, err error) { answer(w, status, failure{err.Error()}) }

// readFilter reads a filter from a query, and writeFilter writes it there.
func readFilter(q url.Values) (delivery.Filter, error) {
	f := delivery.Filter{
		Instance: q.Get("instance"), Subscription: q.Get("subscription"), ID: q.Get("id"), User: q.Get("user"), Reason: q.Get("reason"),
		Parked: q.Get("parked") == "true", Dead: q.Get("dead") == "true",
	}
	var errs [3]error
	if text := q.Get("limit"); text != "" {
		f.Limit, errs[0] = strconv.Atoi(text)
	}
	f.Since, errs[1] = readTime(q.Get("since"))
	f.Until, errs[2] = readTime(q.Get("until"))
	return f, errors.Join(errs[:]...)
}

func readTime(text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	return time.Parse(time.RFC3339Nano, text)
}

func writeFilter(f delivery.Filter) url.Values {
	q := url.Values{}
	for name, text := range map[string]string{
		"instance": f.Instance, "subscription": f.Subscription, "id": f.ID, "user": f.User, "reason": f.Reason,
		"since": writeTime(f.Since), "until": writeTime(f.Until),
	} {
		if text != "" {
			q.Set(name, text)
		}
	}
	for name, on := range map[string]bool{"parked": f.Parked, "dead": f.Dead} {
		if on {
			q.Set(name, "true")
		}
	}
	if f.Limit > 0 {
		q.Set("limit", strconv.Itoa(f.Limit))
	}
	return q
}

func writeTime(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Format(time.RFC3339Nano)
}
