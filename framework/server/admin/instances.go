package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"path"

	"github.com/landfall-dev/landfall/framework/delivery"
)

// isRemoved reports whether an instance is no longer in the config.
func (s *Server) isRemoved(id string) bool {
	if s.Sources == nil {
		return false
	}
	_, ok := s.Sources(id)
	return !ok
}

func (s *Server) handleInstances(w http.ResponseWriter, r *http.Request) {
	list, err := s.Queue.Backlogs(r.Context(), nil)
	writeResult(w, http.StatusOK, list, err)
}

// instanceChange is a request to rename or forget an instance that is no longer in the config.
type instanceChange struct {
	Instance string `json:"instance"`
	To       string `json:"to,omitempty"` // its new id; "" to forget it
}

func (s *Server) handleInstanceChange(w http.ResponseWriter, r *http.Request) {
	var request instanceChange
	rename := path.Base(r.URL.Path) == "rename"
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<20)).Decode(&request); err != nil || request.Instance == "" || rename != (request.To != "") {
		writeError(w, http.StatusBadRequest, errors.New(`the body should be {"instance": ID, "to": ID} to rename an instance, and {"instance": ID} to forget it`))
		return
	}
	if !s.isRemoved(request.Instance) {
		writeError(w, http.StatusConflict, fmt.Errorf("the instance %q is still in the config: rename or delete it there first", request.Instance))
		return
	}
	if rename && s.isRemoved(request.To) {
		writeError(w, http.StatusConflict, fmt.Errorf("there is no instance %q in the config: give it that id there first", request.To))
		return
	}
	moved, err := s.applyChange(r.Context(), request)
	if s.OnMove != nil {
		s.OnMove()
	}
	s.Guard.Record(r.Context(), "instances."+path.Base(r.URL.Path), err, "instance", request.Instance, "to", request.To)
	writeResult(w, http.StatusOK, moved, err)
}

// applyChange renames or forgets an instance.
func (s *Server) applyChange(ctx context.Context, c instanceChange) (delivery.MoveResult, error) {
	switch {
	case c.To == "" && s.Runner != nil:
		return s.Runner.ForgetInstance(ctx, c.Instance)
	case c.To == "":
		return s.Queue.ForgetInstance(ctx, c.Instance)
	case s.Runner != nil:
		return s.Runner.RenameInstance(ctx, c.Instance, c.To)
	}
	return s.Queue.RenameInstance(ctx, c.Instance, c.To)
}

// Instances returns the queued data of each instance.
func (c *Client) Instances(ctx context.Context) ([]delivery.Backlog, error) {
	body, err := c.sendRequest(ctx, http.MethodGet, "/admin/instances", nil)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	var list []delivery.Backlog
	return list, json.NewDecoder(body).Decode(&list)
}

// RenameInstance moves the queued data of an instance that is no longer in the config to another instance.
func (c *Client) RenameInstance(ctx context.Context, id, to string) (delivery.MoveResult, error) {
	return c.changeInstance(ctx, "/admin/instances/rename", instanceChange{id, to})
}

// ForgetInstance deletes the queued data of an instance that is no longer in the config.
func (c *Client) ForgetInstance(ctx context.Context, id string) (delivery.MoveResult, error) {
	return c.changeInstance(ctx, "/admin/instances/forget", instanceChange{Instance: id})
}

func (c *Client) changeInstance(ctx context.Context, path string, change instanceChange) (moved delivery.MoveResult, err error) {
	text, err := json.Marshal(change)
	if err != nil {
		return moved, err
	}
	body, err := c.sendRequest(ctx, http.MethodPost, path, text)
	if err != nil {
		return moved, err
	}
	defer body.Close()
	return moved, json.NewDecoder(body).Decode(&moved)
}
