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

	begun int                 // imports
	open  map[string]*working // operations
	slow  int                 // how often an operation that begins is asked for before it is done
	asked int                 // requests that asked for operations
	fail  int                 // requests that are still to fail
}

// NewRemote is one without users and with three lists.
func NewRemote() *Remote {
	r := &Remote{mux: http.NewServeMux(), open: map[string]*working{}, lists: []string{"Buyers", "Readers", "Bystanders"}}
	r.mux.HandleFunc("POST /users", r.upsert)
	r.mux.HandleFunc("DELETE /users", func(w http.ResponseWriter, req *http.Request) {
		r.note("delete " + req.URL.Query().Get("id"))
		w.WriteHeader(http.StatusNoContent)
	})
	r.mux.HandleFunc("GET /lists", r.page)
	r.mux.HandleFunc("POST /lists", r.list)
	r.audiences()
	r.imports()
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

// working is one user of an import.
type working struct {
	line string
	left int // how often it is asked for before it is done
}

// Slow makes operations that begin be done when they have been asked for n times before.
func (r *Remote) Slow(n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.slow = n
}

// Finish makes all operations be done when they are asked for next, and those that begin from now on.
func (r *Remote) Finish() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.slow = 0
	for _, op := range r.open {
		op.left = 0
	}
}

// Asked is how many requests asked for operations.
func (r *Remote) Asked() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.asked
}

// imports take users, and refuse those that are called bad. The log has each user when an import begins and when it is done.
func (r *Remote) imports() {
	r.mux.HandleFunc("POST /imports", func(w http.ResponseWriter, req *http.Request) {
		text, _ := io.ReadAll(req.Body)
		r.mu.Lock()
		defer r.mu.Unlock()
		r.begun++
		for line := range strings.Lines(string(text)) {
			line = strings.TrimSpace(line)
			user, _, _ := strings.Cut(line, " ")
			r.open[fmt.Sprintf("imp%d/%s", r.begun, user)] = &working{line, r.slow}
			r.log = append(r.log, "import "+line)
		}
		answer(w, http.StatusAccepted, `{"id":"imp%d"}`, r.begun)
	})
	r.mux.HandleFunc("GET /imports", func(w http.ResponseWriter, req *http.Request) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.asked++
		var states []string
		for _, id := range req.URL.Query()["of"] {
			op, state := r.open[id], "done"
			switch {
			case op == nil || strings.HasPrefix(op.line, "bad"):
				state = "failed"
			case op.left > 0:
				op.left--
				state = "working"
			default:
				r.log = append(r.log, "done "+op.line)
			}
			states = append(states, fmt.Sprintf("%q:%q", id, state))
		}
		answer(w, http.StatusOK, "{%s}", strings.Join(states, ","))
	})
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

// list makes a list, or gives one another name.
func (r *Remote) list(w http.ResponseWriter, req *http.Request) {
	id, name := req.FormValue("id"), req.FormValue("name")
	r.mu.Lock()
	defer r.mu.Unlock()
	switch n, err := strconv.Atoi(strings.TrimPrefix(id, "l")); {
	case name == "":
		answer(w, http.StatusBadRequest, `{"message":"a list needs a name"}`)
		return
	case err == nil && n >= 1 && n <= len(r.lists):
		r.lists[n-1] = name
		r.log = append(r.log, "rename "+id+" "+name)
	default:
		r.lists = append(r.lists, name)
		id = fmt.Sprintf("l%d", len(r.lists))
		r.log = append(r.log, "make "+id+" "+name)
	}
	answer(w, http.StatusOK, `{"id":%q}`, id)
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
