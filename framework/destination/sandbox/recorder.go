package sandbox

import (
	"net/http"
	"sync"
)

// Recorder is an API that answers every request with {} and counts requests by method and path. It is safe for concurrent use.
type Recorder struct {
	mu     sync.Mutex
	counts map[string]int
}

// NewRecorder returns a Recorder without requests.
func NewRecorder() *Recorder { return &Recorder{counts: map[string]int{}} }

func (r *Recorder) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	r.mu.Lock()
	r.counts[request.Method+" "+request.URL.Path]++
	r.mu.Unlock()
	WriteJSON(w, http.StatusOK, struct{}{})
}

// State returns {"requests": {"POST /path": 1}}.
func (r *Recorder) State() any {
	r.mu.Lock()
	defer r.mu.Unlock()
	counts := make(map[string]int, len(r.counts))
	for name, n := range r.counts {
		counts[name] = n
	}
	return map[string]any{"requests": counts}
}

// Reset deletes the counts.
func (r *Recorder) Reset() {
	r.mu.Lock()
	defer r.mu.Unlock()
	clear(r.counts)
}
