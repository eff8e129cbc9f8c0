package console

import (
	"errors"
	"net/http"
	"strconv"
	"strings"

	"github.com/landfall-dev/landfall/framework/delivery"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/files/audiencesync"
)

// Bounds of what a page shows.
const (
	maxEvents  = 50
	maxLetters = 100
)

type eventsView struct {
	Runs  bool
	User  string
	Found []foundEvent
	Whole bool // all that is kept was looked through
	Error string
	// Latest are verdicts on everybody, where no user is asked for.
	Latest    []verdictView
	Standings []standingView
}

// foundEvent is an accepted event with what this process has decided of it.
type foundEvent struct {
	delivery.StoredEvent
	Name     string
	Verdicts []delivery.VerdictRecord
}

// standingView is somebody in one cohort of one instance.
type standingView struct {
	Instance string
	audiencesync.Standing
}

func (c *Console) events(w http.ResponseWriter, r *http.Request) {
	view := eventsView{Runs: c.Runner != nil, User: strings.TrimSpace(r.FormValue("user"))}
	switch {
	case c.Runner == nil:
	case view.User == "":
		view.Latest = verdictViews(c.Runner.Verdicts(maxEvents, func(*delivery.VerdictRecord) bool { return true }))
	default:
		list, whole, err := c.Queue.Latest(r.Context(), view.User, maxEvents)
		if err != nil {
			view.Error = err.Error()
		}
		view.Whole = whole
		verdicts := c.verdictsOf(list)
		for _, l := range list {
			view.Found = append(view.Found, foundEvent{l, nameOf(l), verdicts[[2]uint64{l.Seq, uint64(l.Index)}]})
		}
		view.Standings = c.standings(r, view.User)
	}
	if r.FormValue("part") != "" {
		c.part(w, "events", "live", view)
		return
	}
	c.show(w, r, http.StatusOK, "events", page{Title: "Events", Section: "events", Data: view})
}

// verdictsOf are those that are remembered of events, by their places, the newest first.
func (c *Console) verdictsOf(list []delivery.StoredEvent) map[[2]uint64][]delivery.VerdictRecord {
	places := map[[2]uint64][]delivery.VerdictRecord{}
	for _, l := range list {
		places[[2]uint64{l.Seq, uint64(l.Index)}] = nil
	}
	found := c.Runner.Verdicts(delivery.MaxVerdicts, func(s *delivery.VerdictRecord) bool {
		_, ok := places[[2]uint64{s.Seq, uint64(s.Index)}]
		return ok
	})
	for _, s := range found {
		at := [2]uint64{s.Seq, uint64(s.Index)}
		places[at] = append(places[at], s)
	}
	return places
}

// standings are what the ledgers know of a user.
func (c *Console) standings(r *http.Request, user string) []standingView {
	var list []standingView
	instances, err := c.Running()
	if err != nil {
		return nil
	}
	for _, in := range instances {
		if in.Ledger == nil || in.Plugin.Audiences == nil {
			continue
		}
		found, err := keeperOf(in).Standings(r.Context(), user)
		if err != nil {
			c.Log.Warn("asking the ledger", "instance", in.Plan.ID(), "error", err)
		}
		for _, s := range found {
			list = append(list, standingView{in.Plan.ID(), s})
		}
	}
	return list
}

// eventView is the whole story of one event.
type eventView struct {
	delivery.StoredEvent
	Name, User string
	Text       string
	Verdicts   []delivery.VerdictRecord
	Letters    []*delivery.DeadLetter
	Sections   []storySection
	Problems   fault.Problems // why the config as it is now explains nothing
	Standings  []standingView
}

func (c *Console) event(w http.ResponseWriter, r *http.Request) {
	seq, err := strconv.ParseUint(r.PathValue("seq"), 10, 64)
	index, err2 := strconv.Atoi(r.PathValue("index"))
	if c.Queue == nil || err != nil || err2 != nil {
		c.fail(w, r, http.StatusNotFound, "events", "No such event", "The address names no event that is kept here.")
		return
	}
	logged, err := c.Queue.Event(r.Context(), seq, index)
	if err != nil {
		status := http.StatusInternalServerError
		if errors.Is(err, delivery.ErrEventNotFound) {
			status = http.StatusNotFound
		}
		c.fail(w, r, status, "events", "This event cannot be shown", capitalized(err.Error())+".")
		return
	}
	view := eventView{StoredEvent: logged, Name: nameOf(logged), Text: pretty(logged.Raw), Verdicts: c.verdictsOf([]delivery.StoredEvent{logged})[[2]uint64{seq, uint64(index)}]}
	if e, err := event.Parse(logged.Raw); err == nil {
		view.User = delivery.UserOf(event.OrderingKey(e.Value()))
		cfg, problems := c.load()
		view.Sections, err = c.stories(r.Context(), cfg, problems, e, Nowhere)
		view.Problems = fault.ProblemsOf(err)
		view.Standings = c.standings(r, view.User)
		view.Letters = c.lettersAt(r, view.User, seq, index)
	}
	c.show(w, r, http.StatusOK, "event", page{Title: view.Name, Section: "events", Data: view})
}

// lettersAt are the letters of one event.
func (c *Console) lettersAt(r *http.Request, user string, seq uint64, index int) (list []*delivery.DeadLetter) {
	f := delivery.DeadLetterFilter{User: user, Limit: maxLetters}
	err := c.Queue.DeadLetters(r.Context(), f, func(l *delivery.DeadLetter) error {
		if l.Seq == seq && l.Index == index {
			list = append(list, l)
		}
		return nil
	})
	if err != nil {
		c.Log.Warn("reading letters", "error", err)
	}
	return list
}
