package admin

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strconv"

	"github.com/landfall-dev/landfall/framework/server/access"
	"github.com/landfall-dev/landfall/framework/server/audienceruns"
)

// maxRuns is the number of records in a response at most.
const maxRuns = 1000

// addAudienceRoutes adds the routes for the syncs of audiences from queries.
func (s *Server) addAudienceRoutes(mux *http.ServeMux) {
	require := func(handler http.HandlerFunc) http.Handler {
		return s.requireAccess(false, requirePart(func() bool { return s.Syncs != nil }, errNoSyncs, handler))
	}
	mux.Handle("GET /admin/audience/syncs", require(s.handleSyncs))
	mux.Handle("GET /admin/audience/syncs/history", require(s.handleSyncHistory))
	mux.Handle("POST /admin/audience/syncs/run", require(s.handleSyncCommand("audience.sync.run", (*audienceruns.Scheduler).RunNow)))
	mux.Handle("POST /admin/audience/syncs/approve", require(s.handleSyncCommand("audience.sync.approve", (*audienceruns.Scheduler).Approve)))
}

// errNoSyncs is the response of a program without a scheduler.
var errNoSyncs = errors.New("this program runs no audience syncs: start landfall serve")

func (s *Server) handleSyncs(w http.ResponseWriter, r *http.Request) {
	list, err := s.Syncs.List(r.Context())
	writeResult(w, http.StatusOK, list, err)
}

func (s *Server) handleSyncHistory(w http.ResponseWriter, r *http.Request) {
	limit, err := strconv.Atoi(r.URL.Query().Get("limit"))
	if err != nil || limit < 1 || limit > maxRuns {
		writeError(w, http.StatusBadRequest, errors.New("limit should be a number from 1 to "+strconv.Itoa(maxRuns)))
		return
	}
	list, err := s.Syncs.History(r.Context(), r.URL.Query().Get("sync"), limit)
	writeResult(w, http.StatusOK, list, err)
}

// handleSyncCommand returns the handler of a command on a sync. action is its name in the audit log.
func (s *Server) handleSyncCommand(action string, command func(*audienceruns.Scheduler, context.Context, audienceruns.Choice, string) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		choice := audienceruns.Choice{Sync: r.URL.Query().Get("sync"), Instance: r.URL.Query().Get("instance")}
		err := command(s.Syncs, r.Context(), choice, access.ActorOf(r.Context()).Who)
		s.Guard.Record(r.Context(), action, err, "sync", choice.Sync, "instance", choice.Instance)
		writeResult(w, http.StatusOK, choice, err)
	}
}

// AudienceSyncs returns the state of the audience syncs.
func (c *Client) AudienceSyncs(ctx context.Context) (list []audienceruns.Status, err error) {
	return list, c.getJSON(ctx, "/admin/audience/syncs", &list)
}

// AudienceRuns returns the newest records of runs; sync is "" for all syncs.
func (c *Client) AudienceRuns(ctx context.Context, sync string, limit int) (list []audienceruns.Run, err error) {
	query := url.Values{"sync": {sync}, "limit": {strconv.Itoa(limit)}}
	return list, c.getJSON(ctx, "/admin/audience/syncs/history?"+query.Encode(), &list)
}

// RunAudienceSync makes a sync run as soon as a server can.
func (c *Client) RunAudienceSync(ctx context.Context, choice audienceruns.Choice) error {
	return c.postChoice(ctx, "run", choice)
}

// ApproveAudienceSync repeats a run that waits for an approval.
func (c *Client) ApproveAudienceSync(ctx context.Context, choice audienceruns.Choice) error {
	return c.postChoice(ctx, "approve", choice)
}

func (c *Client) postChoice(ctx context.Context, command string, choice audienceruns.Choice) error {
	query := url.Values{"sync": {choice.Sync}, "instance": {choice.Instance}}
	body, err := c.sendRequest(ctx, http.MethodPost, "/admin/audience/syncs/"+command+"?"+query.Encode(), nil)
	if err != nil {
		return err
	}
	return body.Close()
}

// getJSON decodes the response of a GET request.
func (c *Client) getJSON(ctx context.Context, path string, to any) error {
	body, err := c.sendRequest(ctx, http.MethodGet, path, nil)
	if err != nil {
		return err
	}
	defer body.Close()
	return json.NewDecoder(body).Decode(to)
}
