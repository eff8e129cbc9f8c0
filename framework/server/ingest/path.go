package ingest

import (
	"net/http"
	"path"
	"strings"
)

// kinds are the types of events by their paths, with the short ones of browsers.
var kinds = map[string]string{
	"track": "track", "identify": "identify", "page": "page", "screen": "screen", "group": "group", "alias": "alias", "delete": "delete",
	"t": "track", "i": "identify", "p": "page", "s": "screen", "g": "group", "a": "alias", "batch": "", "import": "", "b": "",
}

// kindOf returns the type of the events that a path takes, "" for a batch of any. It takes what clients with a host of
// https://example.com/ or /v1/ make of it: repeated slashes, one at the end, and any case.
func kindOf(urlPath string) (kind string, ok bool) {
	name := strings.ToLower(strings.TrimPrefix(path.Clean("/"+urlPath), "/"))
	kind, ok = kinds[strings.TrimPrefix(name, "v1/")]
	return kind, ok
}

// CleanPath hands requests on with the path that http.ServeMux would redirect them to. Clients do not follow a redirect of a
// POST, or follow it without the body, and browsers refuse one for a preflight.
func CleanPath(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		cleaned := path.Clean("/" + r.URL.Path)
		if cleaned != "/" && strings.HasSuffix(r.URL.Path, "/") {
			cleaned += "/"
		}
		if cleaned != r.URL.Path && r.Method != http.MethodConnect {
			copied, target := *r, *r.URL
			target.Path, target.RawPath = cleaned, ""
			copied.URL = &target
			r = &copied
		}
		next.ServeHTTP(w, r)
	})
}
