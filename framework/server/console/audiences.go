package console

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/files/audiencesync"
	"github.com/landfall-dev/landfall/framework/server/audienceruns"
	"github.com/landfall-dev/landfall/framework/server/history"
)

type audiencesView struct {
	HasLedger bool        // an instance with a ledger exists
	Ledger    *LedgerSize // nil if it is not known
	Error     string
	User      string
	Found     []membershipView
	Sections  []audienceSection
}

type audienceSection struct {
	Instance  string
	Audiences []audienceRow
}

type audienceRow struct {
	destination.AudienceSize
	Sparkline *sparkline
}

// audienceInstances returns the running instances that have audiences, and a ledger of their members.
func (c *Console) audienceInstances() ([]Instance, error) {
	list, err := c.Running()
	return slices.DeleteFunc(slices.Clone(list), func(in Instance) bool { return in.Ledger == nil || in.Plugin.Audiences == nil }), err
}

// syncerOf returns the syncer of an instance's audiences.
func syncerOf(in Instance) *audiencesync.Syncer {
	return &audiencesync.Syncer{Plan: in.Plan, Audiences: in.Plugin.Audiences, Ledger: in.Ledger}
}

func (c *Console) handleAudiences(w http.ResponseWriter, r *http.Request) {
	view := audiencesView{User: strings.TrimSpace(r.FormValue("user"))}
	instances, err := c.audienceInstances()
	if err != nil {
		view.Error = err.Error()
	}
	view.HasLedger = len(instances) > 0
	if c.LedgerSize != nil {
		view.Ledger = c.LedgerSize()
	}
	for _, in := range instances {
		sizes, err := in.Ledger.Sizes(r.Context())
		if err != nil {
			view.Error = err.Error()
		}
		section, points := audienceSection{Instance: in.Plan.ID()}, c.sizesOf(r.Context(), in.Plan.ID(), "", windowOf("24h"))
		for _, s := range sizes {
			section.Audiences = append(section.Audiences, audienceRow{s, sizeSparkline(points[s.ID], s.Members)})
		}
		view.Sections = append(view.Sections, section)
	}
	if view.User != "" {
		view.Found = c.findMemberships(r, view.User)
	}
	c.renderLive(w, r, http.StatusOK, "audiences", page{Title: "Audiences", Section: "audiences", Data: view})
}

// sizeSparkline draws the size of an audience over a day; nil if nothing was measured.
func sizeSparkline(points []history.SizePoint, now int) *sparkline {
	if len(points) == 0 {
		return nil
	}
	numbers := make([]int64, 0, len(points)+1)
	for _, p := range points {
		numbers = append(numbers, int64(p.Members))
	}
	return newSparkline(append(numbers, int64(now)), fmt.Sprintf("From %s to %s members since %s", formatCount(numbers[0]), formatCount(now), points[0].At.Local().Format("2 Jan 15:04")))
}

type audienceView struct {
	Instance    string
	Size        destination.AudienceSize
	Chart       *chart // nil if nothing was measured
	Windows     []window
	Window      window
	Identifiers []string
	SandboxOnly bool
	Jobs        []jobView
	Syncs       []syncStatus // that the audience is read from
	Diff        *diffView
	Error       string
}

// diffView is the difference between a list of users and an audience.
type diffView struct {
	Report         audiencesync.Report
	Missing, Extra []string
	MissingCount   int
	ExtraCount     int
	Unreadable     []audiencesync.Failure // the first maxFailures
}

// maxComparedUsers is the number of users that a comparison lists on each side.
const maxComparedUsers = 100

// requestedAudience returns the audience that the URL names. If it does not exist, it responds with an error and returns false.
func (c *Console) requestedAudience(w http.ResponseWriter, r *http.Request) (Instance, destination.AudienceSize, bool) {
	instances, err := c.audienceInstances()
	if err != nil {
		c.renderError(w, r, http.StatusInternalServerError, "audiences", "The config has errors", err.Error())
		return Instance{}, destination.AudienceSize{}, false
	}
	for _, in := range instances {
		if in.Plan.ID() != pathID(r, "instance") {
			continue
		}
		size, err := syncerOf(in).Find(r.Context(), pathID(r, "id"))
		if err != nil {
			c.renderError(w, r, http.StatusNotFound, "audiences", "No such audience", errorSentence(err))
			return Instance{}, destination.AudienceSize{}, false
		}
		return in, size, true
	}
	c.renderError(w, r, http.StatusNotFound, "audiences", "No such instance", "No instance with this id has audiences.")
	return Instance{}, destination.AudienceSize{}, false
}

func (c *Console) handleAudience(w http.ResponseWriter, r *http.Request) {
	if in, size, ok := c.requestedAudience(w, r); ok {
		c.renderAudience(w, r, http.StatusOK, in, audienceView{Size: size})
	}
}

func (c *Console) renderAudience(w http.ResponseWriter, r *http.Request, status int, in Instance, view audienceView) {
	view.Instance, view.Identifiers, view.SandboxOnly = in.Plan.ID(), in.Plugin.Audiences.Identifiers, c.SandboxOnly
	view.Windows, view.Window = windows(), windowOf(cmp.Or(r.FormValue("window"), "24h"))
	now, points := time.Now(), c.sizesOf(r.Context(), view.Instance, view.Size.ID, view.Window)[view.Size.ID]
	if n := len(points); n > 0 {
		points = append(points, history.SizePoint{At: now, Members: view.Size.Members})
	}
	view.Chart = newSizeChart("Size", points, view.Window, now)
	view.Jobs = c.jobs.forAudience(view.Instance, view.Size.ID)
	var err error
	view.Syncs, err = c.listSyncs(r.Context(), func(s audienceruns.Status) bool { return s.Instance == view.Instance && s.Audience == view.Size.ID })
	if err != nil {
		c.Log.Warn("cannot list the syncs of an audience", "audience", view.Size.ID, "error", err)
	}
	c.renderPage(w, r, status, "audience", page{Title: view.Size.Name, Section: "audiences", Data: view})
}

// handleAudienceAction compares an audience with a list, sends it again, or empties it.
func (c *Console) handleAudienceAction(w http.ResponseWriter, r *http.Request) {
	in, size, ok := c.requestedAudience(w, r)
	if !ok {
		return
	}
	view := audienceView{Size: size}
	a := size.Audience
	switch r.PostFormValue("do") {
	case "diff":
		diff, err := compareAudience(r.Context(), in, a, r.PostFormValue("users"))
		if view.Diff = diff; err != nil {
			view.Error = errorSentence(err)
		}
	case "resync":
		restart := r.PostFormValue("restart") != ""
		c.startAudienceJob(w, r, in, a, "resync", func(ctx context.Context, k *audiencesync.Syncer) (audiencesync.Report, error) {
			return k.Resync(ctx, a, nil, restart)
		})
		return
	case "purge":
		if r.PostFormValue("confirm") != a.Name {
			view.Error = "Nothing was sent: the name you typed does not match the audience's name."
			break
		}
		c.startAudienceJob(w, r, in, a, "purge", func(ctx context.Context, k *audiencesync.Syncer) (audiencesync.Report, error) { return k.Purge(ctx, a) })
		return
	default:
		view.Error = "Nothing was done: the form contains no known action."
	}
	status := http.StatusOK
	if view.Error != "" {
		status = http.StatusBadRequest
	}
	c.renderAudience(w, r, status, in, view)
}

// compareAudience compares an audience with a list of users, one id per line or CSV.
func compareAudience(ctx context.Context, in Instance, a destination.Audience, users string) (*diffView, error) {
	rows, err := audiencesync.OpenRows(strings.NewReader(users), audiencesync.Options{Identifiers: in.Plugin.Audiences.Identifiers, AllowIDs: true})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	d := &diffView{}
	syncer := syncerOf(in)
	syncer.OnFailure = func(f audiencesync.Failure) {
		if len(d.Unreadable) < maxFailures {
			d.Unreadable = append(d.Unreadable, f)
		}
	}
	d.Report, err = syncer.Diff(ctx, a.ID, rows, func(kind, identity string) error {
		list, n := &d.Missing, &d.MissingCount
		if kind == "extra" {
			list, n = &d.Extra, &d.ExtraCount
		}
		if *n++; len(*list) < maxComparedUsers {
			*list = append(*list, identity)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return d, nil
}
