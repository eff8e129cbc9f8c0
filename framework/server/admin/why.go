package admin

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"

	"github.com/landfall-dev/landfall/framework/server/why"
)

// handleWhy answers why a user is missing.
func (s *Server) handleWhy(w http.ResponseWriter, r *http.Request) {
	if s.Why == nil {
		writeError(w, http.StatusNotFound, errors.New("this program keeps no state, so it cannot say why a user is missing"))
		return
	}
	q := r.URL.Query()
	report, err := s.Why.Ask(r.Context(), why.Question{User: q.Get("user"), Audience: q.Get("audience"), Instance: q.Get("instance")})
	writeResult(w, http.StatusOK, report, err)
}

// Why asks the server why a user is missing.
func (c *Client) Why(ctx context.Context, q why.Question) (*why.Report, error) {
	body, err := c.sendRequest(ctx, http.MethodGet, "/admin/why?"+url.Values{"user": {q.User}, "audience": {q.Audience}, "instance": {q.Instance}}.Encode(), nil)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	report := &why.Report{}
	return report, json.NewDecoder(body).Decode(report)
}
