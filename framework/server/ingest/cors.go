package ingest

import (
	"net/http"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// Limits of the header names in a preflight request.
const (
	maxRequestedHeaders = 64
	maxRequestedBytes   = 4 << 10
)

// usualHeaders are allowed if a preflight request names no headers, or too many.
const usualHeaders = "Authorization, Content-Type, Content-Encoding"

// AllowOrigin sets the CORS headers for a page of an allowed origin, so that it can read the response whatever its status. methods are those
// that a preflight response allows.
func (h *Handler) AllowOrigin(w http.ResponseWriter, r *http.Request, methods string) {
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
	out.Set("Access-Control-Allow-Credentials", "true") // sendBeacon needs it; no response depends on cookies
	out.Set("Access-Control-Expose-Headers", "Retry-After")
	if r.Method != http.MethodOptions {
		return
	}
	out.Add("Vary", "Access-Control-Request-Method, Access-Control-Request-Headers, Access-Control-Request-Private-Network")
	out.Set("Access-Control-Allow-Methods", methods)
	out.Set("Access-Control-Allow-Headers", requestedHeaders(r.Header.Values("Access-Control-Request-Headers")))
	out.Set("Access-Control-Max-Age", "86400")
	if r.Header.Get("Access-Control-Request-Private-Network") == "true" {
		out.Set("Access-Control-Allow-Private-Network", "true")
	}
}

// requestedHeaders returns the valid header names of a preflight request. It allows any header, because new versions of clients add
// headers of their own.
func requestedHeaders(lines []string) string {
	requested := strings.Join(lines, ",")
	if len(requested) > maxRequestedBytes || strings.Count(requested, ",") >= maxRequestedHeaders {
		return usualHeaders
	}
	var names []string
	for name := range strings.SplitSeq(requested, ",") {
		if name = strings.Trim(name, " \t"); httpguts.ValidHeaderFieldName(name) {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return usualHeaders
	}
	return strings.Join(names, ", ")
}

// normalOrigins returns origins as browsers send them: in lower case, without a trailing slash.
func normalOrigins(origins []string) []string {
	list := make([]string, len(origins))
	for i, o := range origins {
		list[i] = strings.ToLower(strings.TrimRight(o, "/"))
	}
	return list
}
