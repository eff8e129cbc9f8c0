package brazesandbox

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// restEndpoint is one endpoint of the REST API.
type restEndpoint struct {
	limit  *limit
	handle func(a *api, r *http.Request, body json.RawMessage) response
}

// limit is the number of requests per window; several endpoints may share one.
type limit struct {
	requests int
	every    time.Duration
}

// The limits of most contracts (https://www.braze.com/docs/api/api_limits).
var (
	trackLimit = &limit{3000, 3 * time.Second}
	usersLimit = &limit{20_000, time.Minute}
	otherLimit = &limit{250_000, time.Hour}
)

var restEndpoints = map[string]restEndpoint{
	"POST /users/track":                {trackLimit, (*api).trackObjects},
	"POST /users/identify":             {usersLimit, (*api).identifyUsers},
	"POST /users/alias/new":            {usersLimit, (*api).newAliases},
	"POST /users/delete":               {usersLimit, (*api).deleteUsers},
	"POST /users/merge":                {usersLimit, (*api).mergeUsers},
	"GET /catalogs":                    {otherLimit, (*api).listCatalogs},
	"POST /catalogs":                   {otherLimit, (*api).createCatalog},
	"PUT /catalogs/{catalog}/items":    {otherLimit, (*api).putItems},
	"DELETE /catalogs/{catalog}/items": {otherLimit, (*api).deleteItems},
	"POST /campaigns/trigger/send":     {otherLimit, (*api).sendCampaign},
	"GET /campaigns/list":              {otherLimit, (*api).listCampaigns},
	"GET /canvas/list":                 {otherLimit, (*api).listCanvases},
	"POST /canvas/trigger/send":        {otherLimit, (*api).sendCanvas},
}

// response is a status and a JSON body.
type response struct {
	status int
	body   any
}

func messageResponse(status int, format string, args ...any) response {
	return response{status, map[string]string{"message": fmt.Sprintf(format, args...)}}
}

// window counts the requests of a limit since a time.
type window struct {
	since time.Time
	count int
}

// handleREST handles a request of the REST API after checking its key and its limit. Requests are handled one at a time.
func (a *api) handleREST(e restEndpoint) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		a.mu.Lock()
		defer a.mu.Unlock()
		key, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		if !ok || key == "" || !isAccepted(a.config.APIKeys, key) {
			writeResponse(w, messageResponse(http.StatusUnauthorized, "Invalid API key")) // the text is not documented
			return
		}
		if !a.countRequest(w.Header(), e.limit, time.Now()) {
			writeResponse(w, messageResponse(http.StatusTooManyRequests, "Rate limit exceeded"))
			return
		}
		var body json.RawMessage
		if err := json.NewDecoder(r.Body).Decode(&body); r.Method != http.MethodGet && (err != nil || len(body) == 0 || body[0] != '{') {
			writeResponse(w, messageResponse(http.StatusBadRequest, "The request body must be a JSON object")) // not documented
			return
		}
		answer := e.handle(a, r, body)
		a.restUsed = a.restUsed || answer.status < http.StatusMultipleChoices
		writeResponse(w, answer)
	}
}

// countRequest counts a request and writes the headers of its limit. It returns false if the window is full.
func (a *api) countRequest(h http.Header, l *limit, now time.Time) bool {
	in := a.windows[l]
	if now.Sub(in.since) >= l.every {
		in = window{since: now.Truncate(l.every)}
	}
	full := in.count >= l.requests
	if !full {
		in.count++
	}
	a.windows[l] = in
	reset := in.since.Add(l.every).Unix()
	h.Set("X-RateLimit-Limit", fmt.Sprint(l.requests))
	h.Set("X-RateLimit-Remaining", fmt.Sprint(l.requests-in.count))
	h.Set("X-RateLimit-Reset", fmt.Sprint(reset))
	return !full
}

func writeResponse(w http.ResponseWriter, a response) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(a.status)
	_ = json.NewEncoder(w).Encode(a.body) // the client may be gone
}
