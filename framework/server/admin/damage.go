package admin

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/landfall-dev/landfall/framework/delivery"
)

// routeDamage adds the routes for backups, and for damage and its repair.
func (s *Server) routeDamage(mux *http.ServeMux) {
	mux.Handle("GET /admin/backup", s.guard(false, s.backup))
	mux.Handle("GET /admin/damage", s.guard(false, s.damage))
	mux.Handle("POST /admin/checkpoints/repair", s.guard(false, s.repair))
}

// backup answers with a backup as a tar archive. It is complete only if the manifest is in it.
func (s *Server) backup(w http.ResponseWriter, r *http.Request) {
	if s.Backup == nil {
		fail(w, http.StatusNotFound, errors.New("this program takes no backups"))
		return
	}
	_ = http.NewResponseController(w).SetWriteDeadline(time.Time{}) // it takes as long as it takes
	w.Header().Set("Content-Type", "application/x-tar")
	err := s.Backup(r.Context(), w)
	s.Guard.Record(r.Context(), "queue.backup", err)
	if err != nil {
		panic(http.ErrAbortHandler) // what has been written is not all there is
	}
}

func (s *Server) damage(w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusOK, s.Queue.Damage())
}

// Repaired is what was done to checkpoints, or would be.
type Repaired struct {
	Checkpoints []delivery.BadCheckpoint `json:"checkpoints"`
}

func (s *Server) repair(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	asked := delivery.RepairOptions{DryRun: q.Get("dryRun") == "true", AcceptLoss: q.Get("acceptLoss") == "true", Instances: q["instance"]}
	done, err := s.Queue.RepairCheckpoints(r.Context(), asked)
	if !asked.DryRun {
		s.Guard.Record(r.Context(), "checkpoints.repair", err, "count", len(done), "acceptLoss", asked.AcceptLoss)
	}
	if err != nil {
		fail(w, http.StatusInternalServerError, err)
		return
	}
	answer(w, http.StatusOK, Repaired{done})
}

// Backup has the server take a backup, and returns its archive.
func (c *Client) Backup(ctx context.Context) (io.ReadCloser, error) {
	return c.do(ctx, http.MethodGet, "/admin/backup", nil)
}

// Damage is what the server has found missing or damaged.
func (c *Client) Damage(ctx context.Context) (d delivery.Damage, err error) {
	body, err := c.do(ctx, http.MethodGet, "/admin/damage", nil)
	if err != nil {
		return d, err
	}
	defer body.Close()
	return d, json.NewDecoder(body).Decode(&d)
}

// RepairCheckpoints has checkpoints set that do not fit the log; see delivery.Queue.
func (c *Client) RepairCheckpoints(ctx context.Context, r delivery.RepairOptions) ([]delivery.BadCheckpoint, error) {
	query := url.Values{
		"dryRun": {strconv.FormatBool(r.DryRun)}, "acceptLoss": {strconv.FormatBool(r.AcceptLoss)}, "instance": r.Instances,
	}
	body, err := c.do(ctx, http.MethodPost, "/admin/checkpoints/repair?"+query.Encode(), nil)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	var done Repaired
	return done.Checkpoints, json.NewDecoder(body).Decode(&done)
}
