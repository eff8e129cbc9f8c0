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
	return r
}

// ServeHTTP answers a request.
func (r *Remote) ServeHTTP(w http.ResponseWriter, req *http.Request) { r.mux.ServeHTTP(w, req) }

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
