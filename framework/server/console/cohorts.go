package console

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/files/audiencesync"
)

type cohortsView struct {
	Keeps    bool // a ledger is there
	Error    string
	User     string
	Found    []standingView
	Sections []cohortSection
}

type cohortSection struct {
	Instance string
	Cohorts  []cohortRow
}

type cohortRow struct {
	destination.AudienceSize
	Line *line
}

// keeperOf works on an instance's audiences.
func keeperOf(in Instance) *audiencesync.Keeper {
	return &audiencesync.Keeper{Plan: in.Plan, Audiences: in.Plugin.Audiences, Ledger: in.Ledger}
}

func (c *Console) cohorts(w http.ResponseWriter, r *http.Request) {
	view := cohortsView{User: strings.TrimSpace(r.FormValue("user"))}
	instances, err := c.Running()
	if err != nil {
		view.Error = err.Error()
	}
	for _, in := range instances {
		if in.Ledger == nil || in.Plugin.Audiences == nil {
			continue
		}
		view.Keeps = true
		sizes, err := in.Ledger.Sizes(r.Context())
		if err != nil {
			view.Error = err.Error()
		}
		section := cohortSection{Instance: in.Plan.ID()}
		for _, s := range sizes {
			section.Cohorts = append(section.Cohorts, cohortRow{s, lineOf(c.history.ofCohort(in.Plan.ID(), s.ID), 120, 28)})
		}
		view.Sections = append(view.Sections, section)
	}
	if view.User != "" {
		view.Found = c.standings(r, view.User)
	}
	if r.FormValue("part") != "" {
		c.part(w, "cohorts", "live", view)
		return
	}
	c.show(w, r, http.StatusOK, "cohorts", page{Title: "Cohorts", Section: "cohorts", Data: view})
}

type cohortView struct {
	Instance    string
	Size        destination.AudienceSize
	Line        *line
	Identifiers []string
	Pretends    bool
	Works       []workView
	Diff        *diffView
	Error       string
}

// diffView is how a list of users differs from a cohort.
type diffView struct {
	Report         audiencesync.Report
	Missing, Extra []string
	MissingCount   int
	ExtraCount     int
	Unreadable     []audiencesync.Failure // the first of them
}

// maxDiff is how many users a comparison names of each kind.
const maxDiff = 100

// chosen is the cohort that an address names; it answers where there is none.
func (c *Console) chosen(w http.ResponseWriter, r *http.Request) (Instance, destination.AudienceSize, bool) {
	instances, err := c.Running()
	if err != nil {
		c.fail(w, r, http.StatusInternalServerError, "cohorts", "The config has mistakes", err.Error())
		return Instance{}, destination.AudienceSize{}, false
	}
	for _, in := range instances {
		if in.Plan.ID() != r.PathValue("instance") || in.Ledger == nil || in.Plugin.Audiences == nil {
			continue
		}
		size, err := keeperOf(in).Find(r.Context(), r.PathValue("id"))
		if err != nil {
			c.fail(w, r, http.StatusNotFound, "cohorts", "No such cohort", capitalized(err.Error())+".")
			return Instance{}, destination.AudienceSize{}, false
		}
		return in, size, true
	}
	c.fail(w, r, http.StatusNotFound, "cohorts", "No such instance", "No instance of this name keeps cohorts.")
	return Instance{}, destination.AudienceSize{}, false
}

func (c *Console) cohort(w http.ResponseWriter, r *http.Request) {
	if in, size, ok := c.chosen(w, r); ok {
		c.showCohort(w, r, http.StatusOK, in, cohortView{Size: size})
	}
}

func (c *Console) showCohort(w http.ResponseWriter, r *http.Request, status int, in Instance, view cohortView) {
	view.Instance, view.Identifiers, view.Pretends = in.Plan.ID(), in.Plugin.Audiences.Identifiers, c.Pretends
	view.Line = lineOf(c.history.ofCohort(view.Instance, view.Size.ID), 720, 120)
	view.Works = c.works.of(view.Instance, view.Size.ID)
	c.show(w, r, status, "cohort", page{Title: view.Size.Name, Section: "cohorts", Data: view})
}

// changeCohort compares a cohort, sends it again, or empties it.
func (c *Console) changeCohort(w http.ResponseWriter, r *http.Request) {
	in, size, ok := c.chosen(w, r)
	if !ok {
		return
	}
	view := cohortView{Size: size}
	a := size.Audience
	switch r.PostFormValue("do") {
	case "diff":
		diff, err := compare(r.Context(), in, a, r.PostFormValue("users"))
		if view.Diff = diff; err != nil {
			view.Error = capitalized(err.Error()) + "."
		}
	case "resync":
		restart := r.PostFormValue("restart") != ""
		c.begin(w, r, in, a, "resync", func(ctx context.Context, k *audiencesync.Keeper) (audiencesync.Report, error) {
			return k.Resync(ctx, a, nil, restart)
		})
		return
	case "purge":
		if r.PostFormValue("confirm") != a.Name {
			view.Error = "Nothing was sent: the name that you typed is not the cohort's."
			break
		}
		c.begin(w, r, in, a, "purge", func(ctx context.Context, k *audiencesync.Keeper) (audiencesync.Report, error) { return k.Purge(ctx, a) })
		return
	default:
		view.Error = "Nothing was done: the form did not say what to do."
	}
	status := http.StatusOK
	if view.Error != "" {
		status = http.StatusBadRequest
	}
	c.showCohort(w, r, status, in, view)
}

// compare compares users, a line each or as a CSV file, with a cohort.
func compare(ctx context.Context, in Instance, a destination.Audience, users string) (*diffView, error) {
	rows, err := audiencesync.OpenRows(strings.NewReader(users), audiencesync.Options{Identifiers: in.Plugin.Audiences.Identifiers, AllowIDs: true})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	d := &diffView{}
	keeper := keeperOf(in)
	keeper.Failed = func(f audiencesync.Failure) {
		if len(d.Unreadable) < maxFailures {
			d.Unreadable = append(d.Unreadable, f)
		}
	}
	d.Report, err = keeper.Diff(ctx, a.ID, rows, func(kind, identity string) error {
		list, n := &d.Missing, &d.MissingCount
		if kind == "extra" {
			list, n = &d.Extra, &d.ExtraCount
		}
		if *n++; len(*list) < maxDiff {
			*list = append(*list, identity)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return d, nil
}
