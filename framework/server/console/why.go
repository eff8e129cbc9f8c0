package console

import (
	"errors"
	"net/http"
	"strings"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/server/why"
)

// whyView is the page that answers why a user is missing.
type whyView struct {
	HasQueue  bool
	Question  why.Question
	Audiences []destination.Audience // of all ledgers, to choose from
	Report    *why.Report            // nil before a question
	Error     string
}

// handleWhy answers why a user is missing.
func (c *Console) handleWhy(w http.ResponseWriter, r *http.Request) {
	view := whyView{HasQueue: c.Why != nil, Question: why.Question{User: strings.TrimSpace(r.FormValue("user")), Audience: strings.TrimSpace(r.FormValue("audience"))}}
	status := http.StatusOK
	if c.Why != nil {
		view.Audiences = c.knownAudiences(r)
	}
	if c.Why != nil && (view.Question.User != "" || r.URL.Query().Has("user")) {
		report, err := c.Why.Ask(r.Context(), view.Question)
		switch {
		case errors.Is(err, why.ErrNoUser):
			view.Error, status = errorSentence(err), http.StatusBadRequest
		case err != nil:
			view.Error, status = "The question cannot be answered now: "+err.Error()+".", http.StatusInternalServerError
		}
		view.Report = report
	}
	c.renderPage(w, r, status, "why", page{Title: "Why not?", Section: "why", Data: view})
}

// maxOffered is the number of audiences that the page offers.
const maxOffered = 200

// knownAudiences returns the audiences of all ledgers, each once.
func (c *Console) knownAudiences(r *http.Request) (list []destination.Audience) {
	instances, err := c.audienceInstances()
	if err != nil {
		return nil
	}
	known := map[string]bool{}
	for _, in := range instances {
		sizes, err := in.Ledger.Sizes(r.Context())
		if err != nil {
			c.Log.Warn("cannot read the audiences", "instance", in.Plan.ID(), "error", err)
		}
		for _, s := range sizes {
			if !known[s.ID] && len(list) < maxOffered {
				known[s.ID] = true
				list = append(list, s.Audience)
			}
		}
	}
	return list
}

// answerTone returns the CSS class of an answer.
func answerTone(r why.Reason) string {
	switch r {
	case why.Member, why.Delivered:
		return "good"
	case why.Waiting, why.Paused, why.Parked, why.Left, why.Superseded, why.Purged, why.Synced, why.UnknownToRemote:
		return "warning"
	}
	return "bad"
}

// entryTone returns the CSS class of an entry of the timeline.
func entryTone(e why.Entry) string {
	switch {
	case e.Kind == why.KindAccepted, e.Kind == why.KindMapped, e.Outcome == "delivered":
		return "good"
	case e.Kind == why.KindRejected, e.Outcome == "dead", e.Outcome == "refused", e.Outcome == "dropped":
		return "bad"
	case e.Kind == why.KindWaiting, e.Outcome == "parked", e.Kind == why.KindOperator:
		return "warning"
	}
	return "quiet"
}
