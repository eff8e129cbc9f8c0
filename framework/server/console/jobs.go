package console

import (
	"cmp"
	"context"
	"crypto/rand"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/files/audiencesync"
	"github.com/landfall-dev/landfall/framework/runtime/config"
	"github.com/landfall-dev/landfall/framework/server/access"
	"github.com/landfall-dev/landfall/framework/server/audienceruns"
)

// Limits of background jobs.
const (
	maxRememberedJobs = 50
	maxRunningJobs    = 4
	maxFailures       = 20 // listed for each job
)

// jobs are the background jobs: sending an audience again, emptying an audience, previews of audience syncs, and OAuth logins.
type jobs struct {
	mu   sync.Mutex
	list []*job // newest last
}

// job is one background job.
type job struct {
	mu       sync.Mutex
	id       string
	kind     string // resync, purge, preview or login
	sync     string // of a preview
	preview  *audienceruns.Preview
	instance string
	audience destination.Audience
	started  time.Time
	ended    time.Time
	done     int
	report   audiencesync.Report
	failures []audiencesync.Failure
	err      error
	prompt   loginPrompt
}

// loginPrompt tells the user how to complete a login: a URL to open, and a code to enter there.
type loginPrompt struct{ URL, Code string }

// jobView is the state of a job for its page.
type jobView struct {
	ID, Kind, Instance string
	Audience           destination.Audience
	Started, Ended     time.Time
	Done               int
	Report             audiencesync.Report
	Failures           []audiencesync.Failure
	Error              string
	Prompt             loginPrompt
	Sync               string
	Preview            *audienceruns.Preview // of a preview that has ended
}

// Running reports whether the job has not ended.
func (v jobView) Running() bool { return v.Ended.IsZero() }

// currentView returns the job's state.
func (k *job) currentView() jobView {
	k.mu.Lock()
	defer k.mu.Unlock()
	v := jobView{k.id, k.kind, k.instance, k.audience, k.started, k.ended, k.done, k.report, slices.Clone(k.failures), "", k.prompt, k.sync, k.preview}
	if k.err != nil {
		v.Error = k.err.Error()
	}
	return v
}

// update runs f while holding the job's lock.
func (k *job) update(f func()) {
	k.mu.Lock()
	defer k.mu.Unlock()
	f()
}

// startJob runs a job in the background. It returns a refusal if a job for the same audience or instance is running, or if too
// many jobs are running.
func (c *Console) startJob(k *job, do func(context.Context) error) (refusal string) {
	c.jobs.mu.Lock()
	defer c.jobs.mu.Unlock()
	active := 0
	for _, other := range c.jobs.list {
		if v := other.currentView(); v.Running() {
			active++
			if v.Instance == k.instance && v.Audience.ID == k.audience.ID && v.Sync == k.sync {
				return "Another job is already running for this. Wait until it has finished."
			}
		}
	}
	if active >= maxRunningJobs || c.ctx.Err() != nil {
		return "Too many jobs are running. Wait until one has finished."
	}
	k.id, k.started = rand.Text(), time.Now()
	c.jobs.list = lastN(append(c.jobs.list, k), maxRememberedJobs)
	c.running.Go(func() {
		err := do(c.ctx)
		k.update(func() { k.ended, k.err = time.Now(), err })
	})
	return ""
}

// forAudience returns the jobs of an audience, newest first.
func (j *jobs) forAudience(instance, id string) []jobView {
	j.mu.Lock()
	defer j.mu.Unlock()
	var list []jobView
	for _, k := range slices.Backward(j.list) {
		if k.instance == instance && k.audience.ID == id {
			list = append(list, k.currentView())
		}
	}
	return list
}

// findJob returns the job with the id.
func (j *jobs) findJob(id string) (*job, bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, k := range j.list {
		if k.id == id {
			return k, true
		}
	}
	return nil, false
}

// startAudienceJob starts a job on an audience and redirects to the job's page.
func (c *Console) startAudienceJob(w http.ResponseWriter, r *http.Request, in Instance, a destination.Audience, kind string, do func(context.Context, *audiencesync.Syncer) (audiencesync.Report, error)) {
	k := &job{kind: kind, instance: in.Plan.ID(), audience: a}
	syncer := syncerOf(in)
	syncer.OnProgress = func(done int) { k.update(func() { k.done = done }) }
	syncer.OnFailure = func(f audiencesync.Failure) {
		k.update(func() {
			if len(k.failures) < maxFailures {
				k.failures = append(k.failures, f)
			}
		})
	}
	actor := access.ActorOf(r.Context())
	refusal := c.startJob(k, func(ctx context.Context) error {
		held, ctx, err := audienceruns.HoldAudience(ctx, audienceruns.HoldOptions{
			Ledger: in.Ledger, Instance: k.instance, Audience: a.ID, Syncs: c.audienceSyncs(), By: "the console, " + kind + " by " + actor.Who,
		})
		if err != nil {
			return err
		}
		report, err := do(ctx, syncer)
		err = cmp.Or(held.Lost(), err)
		if _, releaseErr := held.Release(nil, nil); releaseErr != nil {
			c.Log.Warn("the lease of an audience cannot be released", "audience", a.ID, "error", releaseErr)
		}
		k.update(func() { k.report = report })
		c.Guard.Record(access.WithActor(ctx, actor), "cohort."+kind+".end", err, "instance", k.instance, "cohort", a.ID, "enter", report.Enters, "exit", report.Exits)
		return err
	})
	if refusal != "" {
		c.renderError(w, r, http.StatusConflict, "audiences", "Cannot start the job now", refusal)
		return
	}
	c.Guard.Record(r.Context(), "cohort."+kind, nil, "instance", k.instance, "cohort", a.ID)
	http.Redirect(w, r, Path+"work/"+k.id, http.StatusSeeOther)
}

// audienceSyncs returns the syncs of the config in effect.
func (c *Console) audienceSyncs() []config.AudienceSync {
	if c.Syncs != nil {
		return c.Syncs.Syncs()
	}
	cfg, _ := c.loadConfig()
	if cfg == nil {
		return nil
	}
	return cfg.AudienceSyncs
}

func (c *Console) handleJob(w http.ResponseWriter, r *http.Request) {
	k, ok := c.jobs.findJob(r.PathValue("id"))
	if !ok {
		c.renderError(w, r, http.StatusNotFound, "audiences", "No such job", "The job is too old, or the server has restarted since.")
		return
	}
	view, section := k.currentView(), "audiences"
	switch view.Kind {
	case "login":
		section = "setup"
	case "preview":
		section = "syncs"
	}
	c.renderLive(w, r, http.StatusOK, "job", page{Title: capitalize(view.Kind), Section: section, Data: view})
}

// lastN returns the last n elements of a list, reusing its memory.
func lastN[T any](list []T, n int) []T {
	if len(list) <= n {
		return list
	}
	return append(list[:0], list[len(list)-n:]...)
}
