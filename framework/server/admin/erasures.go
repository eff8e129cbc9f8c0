package admin

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/server/access"
	"github.com/landfall-dev/landfall/framework/server/erasure"
)

// maxErasureRequest is the number of bytes of a request to erase users.
const maxErasureRequest = 4 << 20

// addErasureRoutes adds the routes for erasing users.
func (s *Server) addErasureRoutes(mux *http.ServeMux) {
	require := func(handler http.HandlerFunc) http.Handler {
		return s.requireAccess(false, requirePart(func() bool { return s.Erasures.Store != nil }, errNoErasures, handler))
	}
	mux.Handle("GET /admin/erasures", require(s.handleErasures))
	mux.Handle("GET /admin/erasures/{id}", require(s.handleErasure))
	mux.Handle("POST /admin/erasures", require(s.handleErasureRequest))
}

// ErasureRequest asks to erase users.
type ErasureRequest struct {
	Users    []erasure.User `json:"users"`
	Suppress bool           `json:"suppress,omitempty"` // also refuse the users' events from now on
}

var errNoErasures = errors.New("this program erases no users: start landfall serve")

func (s *Server) handleErasureRequest(w http.ResponseWriter, r *http.Request) {
	var request ErasureRequest
	body := json.NewDecoder(event.ReaderWithoutBOM(http.MaxBytesReader(w, r.Body, maxErasureRequest)))
	body.DisallowUnknownFields()
	if err := body.Decode(&request); err != nil {
		writeError(w, http.StatusBadRequest, fmt.Errorf("the body is not a valid request to erase users: %w", err))
		return
	}
	order := erasure.Order{Users: request.Users, Suppress: request.Suppress, By: access.ActorOf(r.Context()).Who}
	list, err := s.Erasures.Request(r.Context(), order)
	s.Guard.Record(r.Context(), "users.erase", err, "count", len(request.Users), "suppress", request.Suppress)
	writeResult(w, http.StatusAccepted, list, err)
}

func (s *Server) handleErasures(w http.ResponseWriter, r *http.Request) {
	list, err := s.Erasures.List(r.Context(), r.URL.Query()["user"]...)
	writeResult(w, http.StatusOK, list, err)
}

func (s *Server) handleErasure(w http.ResponseWriter, r *http.Request) {
	receipt, err := s.Erasures.Find(r.Context(), r.PathValue("id"))
	writeResult(w, http.StatusOK, receipt, err)
}
