// Package devicemode serves what pages need to use Landfall with analytics.js: the settings of a source, the code of destinations that run
// in the browser, and the payloads of their actions.
//
// The browser loads a destination's code, but the server maps: a page posts an event and gets the payloads of the actions that it matches
// (see [Handler.Map]). A Handler is safe for concurrent use. The package must not know the queue; of an instance it hands out only
// settings that the definition marks as public.
package devicemode

import (
	"net/http"
	"path"
	"strings"
	"sync/atomic"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/runtime"
)

// Source is a source of events with its write key.
type Source struct {
	ID       string
	WriteKey string
}

// Instance is an enabled instance of any destination.
type Instance struct {
	Plan    *runtime.Plan
	Plugin  destination.Plugin
	Sources []string // ids of the sources whose events it gets; none for all
	Consent []string // categories that a user must not have refused
}

// Site is what the Handler serves.
type Site struct {
	PublicURL   string // where browsers reach the server, without a trailing slash; "" if it is not known
	AnalyticsJS string // the directory of analytics.js; "" for none
	Sources     []Source
	Instances   []Instance
	// Offline leaves the destinations of the browser out, since their code would send data to the real remotes.
	Offline bool
}

// Handler serves the paths of Paths.
type Handler struct {
	allowOrigin func(w http.ResponseWriter, r *http.Request, methods string)
	current     atomic.Pointer[compiledSite]
}

// New returns a Handler that serves nothing before SetSite. allowOrigin sets the CORS headers of a response.
func New(allowOrigin func(w http.ResponseWriter, r *http.Request, methods string)) *Handler {
	h := &Handler{allowOrigin: allowOrigin}
	h.current.Store(&compiledSite{})
	return h
}

// Paths returns the patterns of the paths that the Handler serves.
func Paths() []string {
	return []string{"/v1/projects/", "/analytics.js/", bundlesPath, "/device/", "/sourceConfig", "/sourceConfig/"}
}

// SetSite changes what is served to later requests. If it returns an error, nothing has changed.
func (h *Handler) SetSite(s Site) error {
	made, err := compileSite(s)
	if err != nil {
		return err
	}
	h.current.Store(made)
	return nil
}

// ServeHTTP serves the settings of sources and the scripts of pages.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.allowOrigin(w, r, "GET, HEAD, OPTIONS")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	switch r.Method {
	case http.MethodOptions:
		w.WriteHeader(http.StatusNoContent)
		return
	case http.MethodGet, http.MethodHead:
	default:
		w.Header().Set("Allow", "GET, HEAD, OPTIONS")
		refuse(w, http.StatusMethodNotAllowed, "read this with GET")
		return
	}
	at := h.current.Load()
	parts := strings.Split(strings.Trim(path.Clean(r.URL.Path), "/"), "/")
	switch {
	case len(parts) == 4 && parts[0] == "v1" && parts[1] == "projects" && parts[3] == "settings":
		at.serveSettings(w, r, parts[2])
	case len(parts) == 1 && parts[0] == "sourceConfig":
		at.serveSourceConfig(w, r)
	case len(parts) == 4 && parts[0] == "analytics.js" && parts[1] == "v1":
		at.serveAnalyticsJS(w, r, parts[2], parts[3])
	case strings.HasPrefix(r.URL.Path, bundlesPath) && len(parts) == 3:
		at.serveCopy(w, r, parts[2])
	case len(parts) == 2 && parts[0] == "device":
		at.serveScript(w, r, parts[1])
	default:
		refuse(w, http.StatusNotFound, "unknown path: the settings of a source are at /v1/projects/WRITE_KEY/settings")
	}
}

// refuse answers a request with an error as text, which analytics.js writes to the console of the browser.
func refuse(w http.ResponseWriter, status int, message string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(message + "\n")) // the client may have disconnected
}
