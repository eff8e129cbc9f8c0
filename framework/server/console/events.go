package console

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/landfall-dev/landfall/framework/delivery"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/files/audiencesync"
)

// Limits on list pages.
const (
	maxEvents      = 50
	maxDeadLetters = 100
)

type eventsView struct {
	HasQueue bool
	User     string
	Found    []foundEvent
	Complete bool // the whole log was searched
	Error    string
	// Latest are the latest verdicts of all users, if the request names no user.
	Latest      []verdictView
	Memberships []membershipView
}

// foundEvent is an accepted event with the verdicts on it.
type foundEvent struct {
	delivery.StoredEvent
	Name     string
	Verdicts []delivery.VerdictRecord
}

// membershipView is a user's membership in one audience of one instance.
type membershipView struct {
	Instance string
	audiencesync.Membership
}

func (c *Console) handleEvents(w http.ResponseWriter, r *http.Request) {
	view := eventsView{HasQueue: c.Runner != nil, User: strings.TrimSpace(r.FormValue("user"))}
	switch {
	case c.Runner == nil:
	case view.User == "":
		view.Latest = c.latestVerdicts(r.Context(), maxEvents)
	default:
		list, complete, err := c.Queue.Latest(r.Context(), view.User, maxEvents)
		if err != nil {
			view.Error = err.Error()
		}
		view.Complete = complete
		verdicts, err := c.verdictsOf(r.Context(), list)
		if err != nil && view.Error == "" {
			view.Error = errorSentence(err)
		}
		for _, l := range list {
			view.Found = append(view.Found, foundEvent{l, eventTitle(l), verdicts[positionOf(l.Seq, l.Index)]})
		}
		view.Memberships = c.findMemberships(r, view.User)
	}
	c.renderLive(w, r, http.StatusOK, "events", page{Title: "Events", Section: "events", Data: view})
}

// findMemberships returns a user's memberships from all ledgers.
func (c *Console) findMemberships(r *http.Request, user string) []membershipView {
	var list []membershipView
	instances, err := c.audienceInstances()
	if err != nil {
		return nil
	}
	for _, in := range instances {
		found, err := syncerOf(in).Memberships(r.Context(), user)
		if err != nil {
			c.Log.Warn("cannot read memberships from the ledger", "instance", in.Plan.ID(), "error", err)
		}
		for _, s := range found {
			list = append(list, membershipView{in.Plan.ID(), s})
		}
	}
	return list
}

// eventView is the page of one event.
type eventView struct {
	delivery.StoredEvent
	Name, User  string
	Error       string // what could not be read
	Text        string
	Verdicts    []delivery.VerdictRecord
	DeadLetters []*delivery.DeadLetter
	Sections    []explanationSection
	Problems    fault.Problems // why the current config cannot be used to explain the event
	Memberships []membershipView
}

func (c *Console) handleEvent(w http.ResponseWriter, r *http.Request) {
	seq, err := strconv.ParseUint(r.PathValue("seq"), 10, 64)
	index, err2 := strconv.Atoi(r.PathValue("index"))
	if c.Queue == nil || err != nil || err2 != nil {
		c.renderError(w, r, http.StatusNotFound, "events", "No such event", "The log of this server has no event at this position.")
		return
	}
	logged, err := c.Queue.Event(r.Context(), seq, index)
	if err != nil {
		c.renderError(w, r, lookupStatus(err, delivery.ErrEventNotFound), "events", "Cannot show this event", errorSentence(err))
		return
	}
	verdicts, err := c.verdictsOf(r.Context(), []delivery.StoredEvent{logged})
	view := eventView{StoredEvent: logged, Name: eventTitle(logged), Text: indentJSON(logged.Raw), Verdicts: verdicts[positionOf(seq, index)]}
	if err != nil {
		view.Error = errorSentence(err)
	}
	if e, err := event.Parse(logged.Raw); err == nil {
		view.User = delivery.UserOf(event.OrderingKey(e.Value()))
		cfg, problems := c.loadConfig()
		view.Sections, err = c.explainEvent(r.Context(), cfg, problems, e, DryRun)
		view.Problems = fault.ProblemsOf(err)
		view.Memberships = c.findMemberships(r, view.User)
		view.DeadLetters = c.deadLettersAt(r, view.User, seq, index)
	}
	c.renderPage(w, r, http.StatusOK, "event", page{Title: view.Name, Section: "events", Data: view})
}

// deadLettersAt returns the dead letters of one event.
func (c *Console) deadLettersAt(r *http.Request, user string, seq uint64, index int) (list []*delivery.DeadLetter) {
	f := delivery.DeadLetterFilter{User: user, Limit: maxDeadLetters}
	err := c.Queue.DeadLetters(r.Context(), f, func(l *delivery.DeadLetter) error {
		if l.Seq == seq && l.Index == index {
			list = append(list, l)
		}
		return nil
	})
	if err != nil {
		c.Log.Warn("cannot read dead letters", "error", err)
	}
	return list
}
