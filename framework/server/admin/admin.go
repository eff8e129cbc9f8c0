// Package admin is the way into a running server for those who run it: how far the delivery is, letters that were set aside,
// replays, reloading, health and metrics, over HTTP; and the client of it.
//
// Health is for everybody. The rest needs the admin key; as long as none is set, being a program on the server's machine is
// enough. A Server and a Client are safe for concurrent use.
package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/landfall-dev/landfall/framework/delivery"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/language/fql"
	"github.com/landfall-dev/landfall/framework/server/access"
)

// Server answers admin requests.
type Server struct {
	Queue         *delivery.Queue
	Runner        *delivery.Runner                       // nil if nothing is delivered
	Status        func() []delivery.Status               // nil where nothing is delivered
	Health        func(context.Context) delivery.Health  // whether events are taken and delivered; may be nil
	Resume        func(instance string) error            // ends the pauses of an instance; may be nil
	Sources       func(instance string) ([]string, bool) // the sources of an instance, none for all; false where there is no such
	Subscriptions func(instance string) []string         // the names of an instance's subscriptions
	Reload        func(context.Context) error            // may be nil
	Metrics       http.Handler                           // may be nil
	Backup        func(context.Context, io.Writer) error // takes a backup; may be nil
	Guard         *access.Guard                          // who may do what is not for everybody
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
	mux.Handle("POST /admin/letters/replay", s.guard(false, s.change("letters.replay", func(q *delivery.Queue) changer { return q.ReplayDeadLetters })))
	mux.Handle("POST /admin/letters/drop", s.guard(false, s.change("letters.drop", func(q *delivery.Queue) changer { return q.DropDeadLetters })))
	mux.Handle("GET /admin/instances", s.guard(false, s.instances))
	mux.Handle("POST /admin/instances/rename", s.guard(false, s.changeInstance))
	mux.Handle("POST /admin/instances/forget", s.guard(false, s.changeInstance))
	mux.Handle("POST /admin/replay", s.guard(false, s.replay))
	mux.Handle("POST /admin/resume", s.guard(false, s.resume))
	mux.Handle("POST /admin/reload", s.guard(false, s.reload))
	s.routeDamage(mux)
	return mux
}

// guard lets in requests that the Guard allows. A request without a bearer token must have the header, unless unmarked says that
// a page in a browser may make it.
func (s *Server) guard(unmarked bool, next http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		actor, err := s.Guard.Authenticate(r)
		if err == nil && !unmarked && access.Bearer(r) == "" && r.Header.Get(header) == "" {
			err = access.ErrUnauthorized
		}
		if err != nil {
			s.refuse(w, err)
			return
		}
		next(w, r.WithContext(access.WithActor(r.Context(), actor)))
	})
}

// refuse answers a request that is not let in.
func (s *Server) refuse(w http.ResponseWriter, err error) {
	var limited *access.LimitedError
	if errors.As(err, &limited) {
		limited.SetRetryAfter(w.Header())
		fail(w, http.StatusTooManyRequests, limited)
		return
	}
	message := "this needs the admin key as a bearer token"
	if !s.Guard.HasKey() {
		message = "no admin key is set, so only programs on the server's machine are let in: ask for it as localhost, with the header " + header + ": 1"
	}
	w.Header().Set("WWW-Authenticate", "Bearer")
	fail(w, http.StatusUnauthorized, errors.New(message))
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
	if err := s.Queue.DeadLetters(r.Context(), f, func(l *delivery.DeadLetter) error { return lines.Encode(l) }); err != nil {
		panic(http.ErrAbortHandler) // what has been written is not all there is
	}
}

type changer func(context.Context, delivery.DeadLetterFilter) (int, error)

func (s *Server) change(action string, of func(*delivery.Queue) changer) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		f, err := readFilter(r.URL.Query())
		if err != nil {
			fail(w, http.StatusBadRequest, err)
			return
		}
		f.IsRemoved = s.gone
		n, err := of(s.Queue)(r.Context(), f)
		s.Guard.Record(r.Context(), action, err, append(filterAttributes(f), "count", n)...)
		var gone *delivery.RemovedInstanceError
		if errors.As(err, &gone) {
			fail(w, http.StatusConflict, err)
			return
		}
		if err != nil {
			fail(w, http.StatusInternalServerError, err)
			return
		}
		answer(w, http.StatusOK, Changed{n})
	}
}

// filterAttributes are the parts of a filter that the audit log may show. A user's id and a reason are personal.
func filterAttributes(f delivery.DeadLetterFilter) []any {
	var list []any
	for _, a := range []struct{ name, text string }{
		{"instance", f.Instance}, {"subscription", f.Subscription}, {"id", f.ID}, {"since", writeTime(f.Since)}, {"until", writeTime(f.Until)},
	} {
		if a.text != "" {
			list = append(list, a.name, a.text)
		}
	}
	for _, a := range []struct {
		name string
		on   bool
	}{{"by_user", f.User != ""}, {"by_reason", f.Reason != ""}, {"parked", f.Parked}, {"dead", f.Dead}} {
		if a.on {
			list = append(list, a.name, true)
		}
	}
	return list
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
	if names := s.Subscriptions(asked.Instance); asked.Subscription != "" && !slices.Contains(names, asked.Subscription) {
		fail(w, http.StatusBadRequest, fmt.Errorf("%s has no subscription %q%s", asked.Instance, asked.Subscription, fault.DidYouMean(asked.Subscription, names)))
		return
	}
	again := delivery.ReplayRequest{Instance: asked.Instance, Subscription: asked.Subscription, Sources: sources, Since: asked.Since, Until: asked.Until}
	if asked.Subscribe != "" {
		query, err := fql.Compile(asked.Subscribe)
		if err != nil {
			fail(w, http.StatusBadRequest, err)
			return
		}
		again.Choose = func(e event.Value) bool { return query.Match(e) }
	}
	n, err := s.Queue.Replay(r.Context(), again)
	s.Guard.Record(r.Context(), "events.replay", err, "instance", asked.Instance, "subscription", asked.Subscription,
		"since", asked.Since, "until", asked.Until, "by_query", asked.Subscribe != "", "count", n)
	if err != nil {
		fail(w, http.StatusInternalServerError, err)
		return
	}
	answer(w, http.StatusOK, Changed{n})
}

func (s *Server) resume(w http.ResponseWriter, r *http.Request) {
	if s.Resume == nil {
		fail(w, http.StatusNotFound, errors.New("nothing is delivered here that could be resumed"))
		return
	}
	switch err := s.Resume(r.URL.Query().Get("instance")); {
	case errors.Is(err, delivery.ErrUnknownInstance):
		fail(w, http.StatusBadRequest, err)
	case err != nil:
		fail(w, http.StatusInternalServerError, err)
	default:
		answer(w, http.StatusOK, map[string]bool{"resumed": true})
	}
}

func (s *Server) reload(w http.ResponseWriter, r *http.Request) {
	if s.Reload == nil {
		fail(w, http.StatusNotFound, errors.New("nothing runs that could be reloaded"))
		return
	}
	err := s.Reload(r.Context())
	s.Guard.Record(r.Context(), "config.reload", err)
	if err != nil {
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
func readFilter(q url.Values) (delivery.DeadLetterFilter, error) {
	f := delivery.DeadLetterFilter{
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

func writeFilter(f delivery.DeadLetterFilter) url.Values {
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
