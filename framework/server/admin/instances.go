package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/landfall-dev/landfall/framework/delivery"
)

// gone reports whether an instance is not in the config any more.
func (s *Server) gone(id string) bool {
	if s.Sources == nil {
		return false
	}
	_, ok := s.Sources(id)
	return !ok
}

func (s *Server) instances(w http.ResponseWriter, r *http.Request) {
	list, err := s.Queue.Backlogs(r.Context(), nil)
	if err != nil {
		fail(w, http.StatusInternalServerError, err)
		return
	}
	answer(w, http.StatusOK, list)
}

// instanceChange asks for a change of an instance that is not in the config any more.
type instanceChange struct {
	Instance string `json:"instance"`
	To       string `json:"to,omitempty"` // its new id; "" to forget it
}

func (s *Server) changeInstance(w http.ResponseWriter, r *http.Request) {
	var asked instanceChange
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<20)).Decode(&asked); err != nil || asked.Instance == "" {
		fail(w, http.StatusBadRequest, errors.New(`the body should be {"instance": ID, "to": ID}`))
		return
	}
	if !s.gone(asked.Instance) {
		fail(w, http.StatusConflict, fmt.Errorf("the instance %q is still in the config: rename or delete it there first", asked.Instance))
		return
	}
	if asked.To != "" && s.gone(asked.To) {
		fail(w, http.StatusConflict, fmt.Errorf("there is no instance %q in the config: give it that id there first", asked.To))
		return
	}
	moved, err := s.applyChange(r.Context(), asked)
	action := "instances.rename"
	if asked.To == "" {
		action = "instances.forget"
	}
	s.Guard.Record(r.Context(), action, err, "instance", asked.Instance, "to", asked.To)
	if err != nil {
		fail(w, http.StatusInternalServerError, err)
		return
	}
	answer(w, http.StatusOK, moved)
}

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

// Instances returns what the queue holds for each instance.
func (c *Client) Instances(ctx context.Context) ([]delivery.Backlog, error) {
	body, err := c.do(ctx, http.MethodGet, "/admin/instances", nil)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	var list []delivery.Backlog
	return list, json.NewDecoder(body).Decode(&list)
}

// RenameInstance gives what the queue holds for an instance that is gone from the config to another one.
func (c *Client) RenameInstance(ctx context.Context, id, to string) (delivery.MoveResult, error) {
	return c.changeInstance(ctx, "/admin/instances/rename", instanceChange{id, to})
}

// ForgetInstance deletes what the queue holds for an instance that is gone from the config.
func (c *Client) ForgetInstance(ctx context.Context, id string) (delivery.MoveResult, error) {
	return c.changeInstance(ctx, "/admin/instances/forget", instanceChange{Instance: id})
}

func (c *Client) changeInstance(ctx context.Context, path string, change instanceChange) (moved delivery.MoveResult, err error) {
	text, err := json.Marshal(change)
	if err != nil {
		return moved, err
	}
	body, err := c.do(ctx, http.MethodPost, path, text)
	if err != nil {
		return moved, err
	}
	defer body.Close()
	return moved, json.NewDecoder(body).Decode(&moved)
}
