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

// Remote simulates the API of the destination: users, lists, audiences, imports, and a log of the requests.
type Remote struct {
	mux *http.ServeMux

	mu            sync.Mutex
	log           []string
	lists         []string
	audienceCount int // number of audiences

	importCount  int // number of imports
	operations   map[string]*operation
	polls        int // how often a new operation must be polled before it is done
	pollRequests int // number of requests that polled operations
	failures     int // number of requests that still fail
}

// NewRemote returns a Remote without users and with three lists.
func NewRemote() *Remote {
	r := &Remote{mux: http.NewServeMux(), operations: map[string]*operation{}, lists: []string{"Buyers", "Readers", "Bystanders"}}
	r.mux.HandleFunc("POST /users", r.upsertUser)
	r.mux.HandleFunc("DELETE /users", func(w http.ResponseWriter, req *http.Request) {
		r.addLog("delete " + req.URL.Query().Get("id"))
		w.WriteHeader(http.StatusNoContent)
	})
	r.mux.HandleFunc("GET /lists", r.listPage)
	r.mux.HandleFunc("POST /lists", r.saveList)
	r.handleAudiences()
	r.handleImports()
	return r
}

// ServeHTTP handles a request.
func (r *Remote) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	r.mu.Lock()
	failing := r.failures > 0
	r.failures -= min(r.failures, 1)
	r.mu.Unlock()
	if failing {
		writeJSON(w, http.StatusServiceUnavailable, `{"message":"down"}`)
		return
	}
	r.mux.ServeHTTP(w, req)
}

// FailNext makes the next n requests fail with 503.
func (r *Remote) FailNext(n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failures = n
}

// operation imports one user.
type operation struct {
	line string
	left int // how often it must be polled before it is done
}

// SetPolls makes new operations finish after they have been polled n times.
func (r *Remote) SetPolls(n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.polls = n
}

// FinishAll makes all operations, and new ones, be done when they are polled next.
func (r *Remote) FinishAll() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.polls = 0
	for _, op := range r.operations {
		op.left = 0
	}
}

// Polls returns the number of requests that polled operations.
func (r *Remote) Polls() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.pollRequests
}

// handleImports registers the imports. Users whose id begins with bad are refused. The log has an entry when an import of a
// user starts and when it is done.
func (r *Remote) handleImports() {
	r.mux.HandleFunc("POST /imports", func(w http.ResponseWriter, req *http.Request) {
		text, _ := io.ReadAll(req.Body)
		r.mu.Lock()
		defer r.mu.Unlock()
		r.importCount++
		for line := range strings.Lines(string(text)) {
			line = strings.TrimSpace(line)
			user, _, _ := strings.Cut(line, " ")
			r.operations[fmt.Sprintf("imp%d/%s", r.importCount, user)] = &operation{line, r.polls}
			r.log = append(r.log, "import "+line)
		}
		writeJSON(w, http.StatusAccepted, `{"id":"imp%d"}`, r.importCount)
	})
	r.mux.HandleFunc("GET /imports", func(w http.ResponseWriter, req *http.Request) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.pollRequests++
		var states []string
		for _, id := range req.URL.Query()["of"] {
			op, state := r.operations[id], "done"
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
		writeJSON(w, http.StatusOK, "{%s}", strings.Join(states, ","))
	})
}

// handleAudiences registers the audiences aud1, aud2, ….
func (r *Remote) handleAudiences() {
	r.mux.HandleFunc("POST /audiences", func(w http.ResponseWriter, req *http.Request) {
		v := readBody(req)
		r.mu.Lock()
		defer r.mu.Unlock()
		r.audienceCount++
		r.log = append(r.log, fmt.Sprintf("create audience %s of %s for %s days", v.Get("name").Str(), v.Get("owner").Str(), v.Get("days").JSON()))
		writeJSON(w, http.StatusCreated, `{"id":"aud%d"}`, r.audienceCount)
	})
	r.mux.HandleFunc("GET /audiences/{id}", func(w http.ResponseWriter, req *http.Request) {
		r.mu.Lock()
		defer r.mu.Unlock()
		id := req.PathValue("id")
		if n, err := strconv.Atoi(strings.TrimPrefix(id, "aud")); err != nil || n < 1 || n > r.audienceCount {
			writeJSON(w, http.StatusNotFound, `{"message":"there is no audience %s"}`, id)
			return
		}
		writeJSON(w, http.StatusOK, `{"id":%q}`, id)
	})
	r.mux.HandleFunc("POST /audiences/{id}/members", func(w http.ResponseWriter, req *http.Request) {
		ids, _ := io.ReadAll(req.Body)
		r.addLog(req.PathValue("id") + ": " + string(ids))
		w.WriteHeader(http.StatusNoContent)
	})
}

// Log returns the log of requests in order.
func (r *Remote) Log() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.log)
}

func (r *Remote) addLog(line string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.log = append(r.log, line)
}

// readBody returns the JSON of a request; absent if it is not JSON.
func readBody(req *http.Request) event.Value {
	raw, _ := io.ReadAll(req.Body)
	v, _ := event.ParseValue(raw)
	return v
}

func writeJSON(w http.ResponseWriter, status int, format string, args ...any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, format, args...)
}

func (r *Remote) upsertUser(w http.ResponseWriter, req *http.Request) {
	v := readBody(req)
	line := "upsert " + v.Get("id").Str()
	if list := v.Get("list").Str(); list != "" {
		line += " in " + list
	}
	if how := v.Get("how").Str(); how != "upsert" {
		line += " (" + how + ")"
	}
	r.addLog(line)
	writeJSON(w, http.StatusOK, `{"ok":true}`)
}

// saveList creates or renames a list.
func (r *Remote) saveList(w http.ResponseWriter, req *http.Request) {
	id, name := req.FormValue("id"), req.FormValue("name")
	r.mu.Lock()
	defer r.mu.Unlock()
	switch n, err := strconv.Atoi(strings.TrimPrefix(id, "l")); {
	case name == "":
		writeJSON(w, http.StatusBadRequest, `{"message":"a list needs a name"}`)
		return
	case err == nil && n >= 1 && n <= len(r.lists):
		r.lists[n-1] = name
		r.log = append(r.log, "rename "+id+" "+name)
	default:
		r.lists = append(r.lists, name)
		id = fmt.Sprintf("l%d", len(r.lists))
		r.log = append(r.log, "make "+id+" "+name)
	}
	writeJSON(w, http.StatusOK, `{"id":%q}`, id)
}

// listPage returns two lists at a time.
func (r *Remote) listPage(w http.ResponseWriter, req *http.Request) {
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
	writeJSON(w, http.StatusOK, `{"lists":[%s],"next":%q}`, strings.Join(found[from:to], ","), next)
}
