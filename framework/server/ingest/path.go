package ingest

import (
	"net/http"
	"path"
	"strings"
)

// kinds maps paths to event types, including the short paths of browser clients.
var kinds = map[string]string{
	"track": "track", "identify": "identify", "page": "page", "screen": "screen", "group": "group", "alias": "alias", "delete": "delete",
	"t": "track", "i": "identify", "p": "page", "s": "screen", "g": "group", "a": "alias", "batch": "", "import": "", "b": "",
}

// kindOf returns the event type of a path; "" for a batch. It accepts paths from clients that are configured with a host such as
// https://example.com/ or /v1/: repeated and trailing slashes, and any case.
func kindOf(urlPath string) (kind string, ok bool) {
	name := strings.ToLower(strings.TrimPrefix(path.Clean("/"+urlPath), "/"))
	kind, ok = kinds[strings.TrimPrefix(name, "v1/")]
	return kind, ok
}

// mapPath is the path of Config.Map.
const mapPath = "/v1/device/map"

// CleanPath rewrites the path of a request to the clean path that http.ServeMux would redirect to. Clients do not follow the redirect of
// a POST request, or follow it without the body, and browsers reject a redirect of a preflight request.
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
