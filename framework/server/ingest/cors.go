package ingest

import (
	"net/http"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// Bounds of the header names that a preflight may ask for.
const (
	maxAskedHeaders = 64
	maxAskedBytes   = 4 << 10
)

// usualHeaders are allowed if a preflight asks for none, or for more than the bounds.
const usualHeaders = "Authorization, Content-Type, Content-Encoding"

// allowOrigin lets a browser page of an allowed origin send and read the answer, whatever its status.
func (h *Handler) allowOrigin(w http.ResponseWriter, r *http.Request) {
	origin, allowed := r.Header.Get("Origin"), *h.origins.Load()
	if len(allowed) == 0 {
		return
	}
	out := w.Header()
	out.Add("Vary", "Origin")
	if origin == "" || !slices.Contains(allowed, "*") && !slices.Contains(allowed, strings.ToLower(origin)) {
		return
	}
	out.Set("Access-Control-Allow-Origin", origin)
	out.Set("Access-Control-Allow-Credentials", "true") // sendBeacon asks for it; no answer here depends on cookies
	out.Set("Access-Control-Expose-Headers", "Retry-After")
	if r.Method != http.MethodOptions {
		return
	}
	out.Add("Vary", "Access-Control-Request-Method, Access-Control-Request-Headers, Access-Control-Request-Private-Network")
	out.Set("Access-Control-Allow-Methods", "POST, OPTIONS")
	out.Set("Access-Control-Allow-Headers", askedHeaders(r.Header.Values("Access-Control-Request-Headers")))
	out.Set("Access-Control-Max-Age", "86400")
	if r.Header.Get("Access-Control-Request-Private-Network") == "true" {
		out.Set("Access-Control-Allow-Private-Network", "true")
	}
}

// askedHeaders returns the valid header names that a preflight asks for. Clients add headers of their own from one version to
// the next, so no list could name them all.
func askedHeaders(lines []string) string {
	asked := strings.Join(lines, ",")
	if len(asked) > maxAskedBytes || strings.Count(asked, ",") >= maxAskedHeaders {
		return usualHeaders
	}
	var names []string
	for name := range strings.SplitSeq(asked, ",") {
		if name = strings.Trim(name, " \t"); httpguts.ValidHeaderFieldName(name) {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return usualHeaders
	}
	return strings.Join(names, ", ")
}

// normalOrigins returns origins as browsers send them: in lower case, without a slash at the end.
func normalOrigins(origins []string) []string {
	list := make([]string, len(origins))
	for i, o := range origins {
		list[i] = strings.ToLower(strings.TrimRight(o, "/"))
	}
	return list
}
