package admin

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/landfall-dev/landfall/framework/delivery"
	"github.com/landfall-dev/landfall/internal/buildinfo"
)

// readiness is the response of /readyz for programs.
type readiness struct {
	delivery.Health
	Version string `json:"version"` // of Landfall
}

// handleReady reports whether the server ingests and delivers events: 200 if it does, 503 with the reasons otherwise. The response is
// text, or the complete Health with the version for a request that accepts JSON or has format=json.
func (s *Server) handleReady(w http.ResponseWriter, r *http.Request) {
	h := delivery.Health{Ready: true, Ingesting: true, Delivering: true, Findings: []delivery.Finding{}}
	if s.Health != nil {
		h = s.Health(r.Context())
	}
	status := http.StatusOK
	if !h.Ready {
		status = http.StatusServiceUnavailable
	}
	w.Header().Set("Cache-Control", "no-store")
	if r.FormValue("format") == "json" || strings.Contains(r.Header.Get("Accept"), "application/json") {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(readiness{h, buildinfo.Read().Version}) // the client may have disconnected
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, HealthText(h))
}

// HealthText formats a Health as text: the overall status, and a line for each finding.
func HealthText(h delivery.Health) string {
	var b strings.Builder
	switch {
	case h.Ready:
		b.WriteString("ready\n")
	case h.Ingesting:
		b.WriteString("not delivering\n")
	case h.Delivering:
		b.WriteString("not taking events\n")
	default:
		b.WriteString("not taking events, not delivering\n")
	}
	for _, f := range h.Findings {
		fmt.Fprintln(&b, f.Text())
	}
	return b.String()
}
