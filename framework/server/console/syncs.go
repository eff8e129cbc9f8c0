package console

import (
	"context"
	"errors"
	"net/http"

	"github.com/landfall-dev/landfall/framework/files/audiencesync"
	"github.com/landfall-dev/landfall/framework/server/access"
	"github.com/landfall-dev/landfall/framework/server/audienceruns"
)

// Limits of the runs on pages.
const (
	maxRunsRead  = 500
	maxRunsShown = 50
)

// syncsView is the page that lists the audience syncs.
type syncsView struct {
	HasScheduler bool
	Error        string
	Syncs        []syncStatus
}

// syncStatus is the state of a sync with a badge.
type syncStatus struct{ audienceruns.Status }

// Badge names the state in one word.
func (s syncStatus) Badge() string {
	switch {
	case s.Running != nil:
		return "running"
	case s.Asked:
		return "asked for"
	case s.Waiting:
		return string(audienceruns.Waiting)
	case s.Last != nil:
		return string(s.Last.Outcome)
	}
	return "has not run"
}

// listSyncs returns the state of the syncs that f selects.
func (c *Console) listSyncs(ctx context.Context, f func(audienceruns.Status) bool) (list []syncStatus, err error) {
	if c.Syncs == nil {
		return nil, nil
	}
	all, err := c.Syncs.List(ctx)
	for _, s := range all {
		if f(s) {
			list = append(list, syncStatus{s})
		}
	}
	return list, err
}

func (c *Console) handleSyncs(w http.ResponseWriter, r *http.Request) {
	view := syncsView{HasScheduler: c.Syncs != nil}
	var err error
	if view.Syncs, err = c.listSyncs(r.Context(), func(audienceruns.Status) bool { return true }); err != nil {
		view.Error = errorSentence(err)
	}
	c.renderLive(w, r, http.StatusOK, "syncs", page{Title: "Audience syncs", Section: "syncs", Data: view})
}

// syncView is the page of one sync of one instance.
type syncView struct {
	Status      syncStatus
	Runs        []audienceruns.Run
	HasAudience bool // the ledger has the audience
	SandboxOnly bool
	Error       string
}

// requestedSync returns the state of the sync that the URL names. If it does not exist, it responds with an error and returns false.
func (c *Console) requestedSync(w http.ResponseWriter, r *http.Request) (syncStatus, bool) {
	list, err := c.listSyncs(r.Context(), func(s audienceruns.Status) bool {
		return s.Sync == pathID(r, "sync") && s.Instance == pathID(r, "instance")
	})
	switch {
	case err != nil:
		c.renderError(w, r, http.StatusInternalServerError, "syncs", "The state cannot be read", errorSentence(err))
	case len(list) == 0:
		c.renderError(w, r, http.StatusNotFound, "syncs", "No such audience sync", "The config has no enabled audience sync with this id for this instance.")
	default:
		return list[0], true
	}
	return syncStatus{}, false
}

func (c *Console) handleSync(w http.ResponseWriter, r *http.Request) {
	if status, ok := c.requestedSync(w, r); ok {
		c.renderSync(w, r, http.StatusOK, syncView{Status: status})
	}
}

func (c *Console) renderSync(w http.ResponseWriter, r *http.Request, status int, view syncView) {
	runs, err := c.Syncs.History(r.Context(), view.Status.Sync, maxRunsRead)
	if err != nil {
		view.Error = errorSentence(err)
	}
	for _, run := range runs {
		if run.Instance == view.Status.Instance && len(view.Runs) < maxRunsShown {
			view.Runs = append(view.Runs, run)
		}
	}
	view.SandboxOnly = c.SandboxOnly
	if in, ok := c.runningInstance(view.Status.Instance); ok && in.Ledger != nil {
		_, view.HasAudience, _ = in.Ledger.Audience(r.Context(), view.Status.Audience)
	}
	c.renderLive(w, r, status, "sync", page{Title: view.Status.Sync, Section: "syncs", Data: view})
}

// runningInstance returns the instance with an id.
func (c *Console) runningInstance(id string) (Instance, bool) {
	instances, err := c.Running()
	if err != nil {
		return Instance{}, false
	}
	for _, in := range instances {
		if in.Plan.ID() == id {
			return in, true
		}
	}
	return Instance{}, false
}

// handleSyncAction runs a sync, approves its waiting run, or shows what a run would do.
func (c *Console) handleSyncAction(w http.ResponseWriter, r *http.Request) {
	status, ok := c.requestedSync(w, r)
	if !ok {
		return
	}
	choice := audienceruns.Choice{Sync: status.Sync, Instance: status.Instance}
	by := access.ActorOf(r.Context()).Who
	var err error
	switch r.PostFormValue("do") {
	case "preview":
		c.startPreview(w, r, choice)
		return
	case "run":
		err = c.Syncs.RunNow(r.Context(), choice, by)
		c.Guard.Record(r.Context(), "audience.sync.run", err, "sync", choice.Sync, "instance", choice.Instance)
	case "approve":
		choice.Run = r.PostFormValue("run")
		err = c.Syncs.Approve(r.Context(), choice, by)
		c.Guard.Record(r.Context(), "audience.sync.approve", err, "sync", choice.Sync, "instance", choice.Instance)
	default:
		err = errors.New("nothing was done: the form contains no known action")
	}
	if err != nil {
		c.renderSync(w, r, http.StatusConflict, syncView{Status: status, Error: errorSentence(err)})
		return
	}
	http.Redirect(w, r, r.URL.EscapedPath(), http.StatusSeeOther)
}

// startPreview starts a job that runs the query and sends nothing, and redirects to its page.
func (c *Console) startPreview(w http.ResponseWriter, r *http.Request, choice audienceruns.Choice) {
	k := &job{kind: "preview", instance: choice.Instance, sync: choice.Sync}
	refusal := c.startJob(k, func(ctx context.Context) error {
		preview, err := c.Syncs.Preview(ctx, choice)
		var withheld *audiencesync.UnreadableRowsError
		if errors.As(err, &withheld) {
			err = nil // the page says how many would not be removed
		}
		k.update(func() {
			k.report, k.failures, k.preview = preview.Report, lastN(preview.UnreadableRows, maxFailures), &preview
		})
		return err
	})
	if refusal != "" {
		c.renderError(w, r, http.StatusConflict, "syncs", "Cannot start the preview now", refusal)
		return
	}
	http.Redirect(w, r, Path+"work/"+k.id, http.StatusSeeOther)
}
