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

// addMaintenanceRoutes adds the routes for backups, and for damage and its repair.
func (s *Server) addMaintenanceRoutes(mux *http.ServeMux) {
	mux.Handle("GET /admin/backup", s.requireAccess(false, s.handleBackup))
	mux.Handle("GET /admin/damage", s.requireAccess(false, s.handleDamage))
	mux.Handle("POST /admin/checkpoints/repair", s.requireAccess(false, s.handleRepair))
}

// handleBackup responds with a backup as a tar archive. The archive is complete only if it contains the manifest.
func (s *Server) handleBackup(w http.ResponseWriter, r *http.Request) {
	if s.Backup == nil {
		writeError(w, http.StatusNotFound, errors.New("this program does not support backups"))
		return
	}
	_ = http.NewResponseController(w).SetWriteDeadline(time.Time{}) // a backup has no time limit
	w.Header().Set("Content-Type", "application/x-tar")
	parts := &partsWriter{ResponseWriter: w}
	err := s.Backup(r.Context(), parts)
	s.Guard.Record(r.Context(), "queue.backup", err)
	if err != nil {
		parts.fail(err)
	}
}

func (s *Server) handleDamage(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, s.Queue.Damage())
}

// Repaired lists the checkpoints that were repaired, or would be in a dry run.
type Repaired struct {
	Checkpoints []delivery.BadCheckpoint `json:"checkpoints"`
}

func (s *Server) handleRepair(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	request := delivery.RepairOptions{DryRun: q.Get("dryRun") == "true", AcceptLoss: q.Get("acceptLoss") == "true", Instances: q["instance"]}
	repaired, err := s.Queue.RepairCheckpoints(r.Context(), request)
	if !request.DryRun {
		s.Guard.Record(r.Context(), "checkpoints.repair", err, "count", len(repaired), "acceptLoss", request.AcceptLoss)
	}
	writeResult(w, http.StatusOK, Repaired{repaired}, err)
}

// Backup takes a backup of the server and returns its tar archive.
func (c *Client) Backup(ctx context.Context) (io.ReadCloser, error) {
	return c.sendRequest(ctx, http.MethodGet, "/admin/backup", nil)
}

// Damage returns the missing or damaged data that the server has found.
func (c *Client) Damage(ctx context.Context) (d delivery.Damage, err error) {
	body, err := c.sendRequest(ctx, http.MethodGet, "/admin/damage", nil)
	if err != nil {
		return d, err
	}
	defer body.Close()
	return d, json.NewDecoder(body).Decode(&d)
}

// RepairCheckpoints resets checkpoints that do not match the log; see delivery.Queue.
func (c *Client) RepairCheckpoints(ctx context.Context, r delivery.RepairOptions) ([]delivery.BadCheckpoint, error) {
	query := url.Values{
		"dryRun": {strconv.FormatBool(r.DryRun)}, "acceptLoss": {strconv.FormatBool(r.AcceptLoss)}, "instance": r.Instances,
	}
	body, err := c.sendRequest(ctx, http.MethodPost, "/admin/checkpoints/repair?"+query.Encode(), nil)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	var done Repaired
	return done.Checkpoints, json.NewDecoder(body).Decode(&done)
}
