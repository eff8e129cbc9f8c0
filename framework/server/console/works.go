package console

import (
	"context"
	"crypto/rand"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/files/audiencesync"
	"github.com/landfall-dev/landfall/framework/server/access"
)

// Bounds of what goes on behind the pages.
const (
	maxWorks    = 50 // that are remembered
	maxAtOnce   = 4
	maxFailures = 20 // that are named
)

// works are what goes on behind the pages: audiences that are sent again or emptied, and logins.
type works struct {
	mu   sync.Mutex
	list []*work // the newest last
}

type work struct {
	mu       sync.Mutex
	id       string
	kind     string // resync, purge or login
	instance string
	audience destination.Audience
	began    time.Time
	ended    time.Time
	done     int
	report   audiencesync.Report
	failures []audiencesync.Failure
	err      error
	ask      askView
}

// askView is what a person has to do for a login.
type askView struct{ URL, Code string }

// workView is a work as it is now.
type workView struct {
	ID, Kind, Instance string
	Audience           destination.Audience
	Began, Ended       time.Time
	Done               int
	Report             audiencesync.Report
	Failures           []audiencesync.Failure
	Error              string
	Ask                askView
}

// Running tells whether the work goes on.
func (v workView) Running() bool { return v.Ended.IsZero() }

func (k *work) view() workView {
	k.mu.Lock()
	defer k.mu.Unlock()
	v := workView{k.id, k.kind, k.instance, k.audience, k.began, k.ended, k.done, k.report, slices.Clone(k.failures), "", k.ask}
	if k.err != nil {
		v.Error = k.err.Error()
	}
	return v
}

// change changes a work.
func (k *work) change(f func()) {
	k.mu.Lock()
	defer k.mu.Unlock()
	f()
}

// start begins a work unless another one goes on for the same, or too many do; then it says why.
func (c *Console) start(k *work, do func(context.Context) error) (refusal string) {
	c.works.mu.Lock()
	defer c.works.mu.Unlock()
	active := 0
	for _, other := range c.works.list {
		if v := other.view(); v.Running() {
			active++
			if v.Instance == k.instance && v.Audience.ID == k.audience.ID {
				return "Something is under way for this already: wait for its end."
			}
		}
	}
	if active >= maxAtOnce || c.ctx.Err() != nil {
		return "Too much is under way at once: wait for something to end."
	}
	k.id, k.began = rand.Text(), time.Now()
	c.works.list = kept(append(c.works.list, k), maxWorks)
	c.running.Go(func() {
		err := do(c.ctx)
		k.change(func() { k.ended, k.err = time.Now(), err })
	})
	return ""
}

// of are the works on an audience, the newest first.
func (w *works) of(instance, id string) []workView {
	w.mu.Lock()
	defer w.mu.Unlock()
	var list []workView
	for _, k := range slices.Backward(w.list) {
		if k.instance == instance && k.audience.ID == id {
			list = append(list, k.view())
		}
	}
	return list
}

func (w *works) find(id string) (*work, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, k := range w.list {
		if k.id == id {
			return k, true
		}
	}
	return nil, false
}

// begin starts a work on an audience, and leads to its page.
func (c *Console) begin(w http.ResponseWriter, r *http.Request, in Instance, a destination.Audience, kind string, do func(context.Context, *audiencesync.Keeper) (audiencesync.Report, error)) {
	k := &work{kind: kind, instance: in.Plan.ID(), audience: a}
	keeper := keeperOf(in)
	keeper.Progress = func(done int) { k.change(func() { k.done = done }) }
	keeper.Failed = func(f audiencesync.Failure) {
		k.change(func() {
			if len(k.failures) < maxFailures {
				k.failures = append(k.failures, f)
			}
		})
	}
	who := access.ActorOf(r.Context())
	refusal := c.start(k, func(ctx context.Context) error {
		report, err := do(ctx, keeper)
		k.change(func() { k.report = report })
		c.Guard.Record(access.WithActor(ctx, who), "cohort."+kind+".end", err, "instance", k.instance, "cohort", a.ID, "enter", report.Enters, "exit", report.Exits)
		return err
	})
	if refusal != "" {
		c.fail(w, r, http.StatusConflict, "cohorts", "Not now", refusal)
		return
	}
	c.Guard.Record(r.Context(), "cohort."+kind, nil, "instance", k.instance, "cohort", a.ID)
	http.Redirect(w, r, Path+"work/"+k.id, http.StatusSeeOther)
}

func (c *Console) work(w http.ResponseWriter, r *http.Request) {
	k, ok := c.works.find(r.PathValue("id"))
	if !ok {
		c.fail(w, r, http.StatusNotFound, "cohorts", "No such work", "It is long over, or the server was started anew since.")
		return
	}
	view, section := k.view(), "cohorts"
	if view.Kind == "login" {
		section = "setup"
	}
	if r.FormValue("part") != "" {
		c.part(w, "work", "live", view)
		return
	}
	c.show(w, r, http.StatusOK, "work", page{Title: capitalized(view.Kind), Section: section, Data: view})
}
