package sample

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/landfall-dev/landfall/framework/event"
)

// Remote is what the destination sends to: users, lists, and a log of the requests.
type Remote struct {
	mux *http.ServeMux

	mu    sync.Mutex
	log   []string
	lists []string
	made  int // audiences
	fail  int // requests that are still to fail
}

// NewRemote is one without users and with three lists.
func NewRemote() *Remote {
	r := &Remote{mux: http.NewServeMux(), lists: []string{"Buyers", "Readers", "Bystanders"}}
	r.mux.HandleFunc("POST /users", r.upsert)
	r.mux.HandleFunc("DELETE /users", func(w http.ResponseWriter, req *http.Request) {
		r.note("delete " + req.URL.Query().Get("id"))
		w.WriteHeader(http.StatusNoContent)
	})
	r.mux.HandleFunc("GET /lists", r.page)
	r.audiences()
	return r
}

// ServeHTTP answers a request.
func (r *Remote) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	r.mu.Lock()
	failing := r.fail > 0
	r.fail -= min(r.fail, 1)
	r.mu.Unlock()
	if failing {
		answer(w, http.StatusServiceUnavailable, `{"message":"down"}`)
		return
	}
	r.mux.ServeHTTP(w, req)
}

// Fail makes the next n requests fail with 503.
func (r *Remote) Fail(n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fail = n
}

// audiences are those that have been created: aud1, aud2, ….
func (r *Remote) audiences() {
	r.mux.HandleFunc("POST /audiences", func(w http.ResponseWriter, req *http.Request) {
		v := body(req)
		r.mu.Lock()
		defer r.mu.Unlock()
		r.made++
		r.log = append(r.log, fmt.Sprintf("create audience %s of %s for %s days", v.Get("name").Str(), v.Get("owner").Str(), v.Get("days").JSON()))
		answer(w, http.StatusCreated, `{"id":"aud%d"}`, r.made)
	})
	r.mux.HandleFunc("GET /audiences/{id}", func(w http.ResponseWriter, req *http.Request) {
		r.mu.Lock()
		defer r.mu.Unlock()
		id := req.PathValue("id")
		if n, err := strconv.Atoi(strings.TrimPrefix(id, "aud")); err != nil || n < 1 || n > r.made {
			answer(w, http.StatusNotFound, `{"message":"there is no audience %s"}`, id)
			return
		}
		answer(w, http.StatusOK, `{"id":%q}`, id)
	})
	r.mux.HandleFunc("POST /audiences/{id}/members", func(w http.ResponseWriter, req *http.Request) {
		ids, _ := io.ReadAll(req.Body)
		r.note(req.PathValue("id") + ": " + string(ids))
		w.WriteHeader(http.StatusNoContent)
	})
}

// Log is what was asked of the remote, in order.
func (r *Remote) Log() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.log)
}

func (r *Remote) note(line string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.log = append(r.log, line)
}

// body is the JSON of a request, absent where it has none.
func body(req *http.Request) event.Value {
	raw, _ := io.ReadAll(req.Body)
	v, _ := event.ParseValue(raw)
	return v
}

func answer(w http.ResponseWriter, status int, format string, args ...any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, format, args...)
}

func (r *Remote) upsert(w http.ResponseWriter, req *http.Request) {
	v := body(req)
	line := "upsert " + v.Get("id").Str()
	if list := v.Get("list").Str(); list != "" {
		line += " in " + list
	}
	if how := v.Get("how").Str(); how != "upsert" {
		line += " (" + how + ")"
	}
	r.note(line)
	answer(w, http.StatusOK, `{"ok":true}`)
}

// page gives two lists at a time.
func (r *Remote) page(w http.ResponseWriter, req *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var found []string
	for i, name := range r.lists {
		if strings.Contains(strings.ToLower(name), strings.ToLower(req.URL.Query().Get("query"))) {
			found = append(found, fmt.Sprintf(`{"id":"l%d","name":%q}`, i+1, name))
		}
	}
	from, _ := strconv.Atoi(req.URL.Query().Get("page"))
	from = min(from, len(found))
	to, next := min(from+2, len(found)), ""
	if to < len(found) {
		next = strconv.Itoa(to)
	}
	answer(w, http.StatusOK, `{"lists":[%s],"next":%q}`, strings.Join(found[from:to], ","), next)
}
