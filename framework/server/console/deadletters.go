package console

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"github.com/landfall-dev/landfall/framework/delivery"
	"github.com/landfall-dev/landfall/framework/fault"
)

type deadLettersView struct {
	HasQueue        bool
	Instances       []string
	Filter          delivery.DeadLetterFilter
	Kind            string // dead, parked or "" for both
	*deadLetterPage        // nil without a queue
	Done            string
	Error           string
	Query           string // the filter as a URL query
	Causes          []fault.CauseInfo
}

// filterOf reads the filter from request parameters.
func filterOf(q func(string) string) (delivery.DeadLetterFilter, string) {
	kind := q("kind")
	return delivery.DeadLetterFilter{
		ID: q("id"), Instance: q("instance"), User: q("user"), Cause: fault.Cause(q("cause")), Reason: q("reason"), Parked: kind == "parked", Dead: kind == "dead",
	}, kind
}

// queryOf returns the filter as a URL query.
func queryOf(f delivery.DeadLetterFilter, kind string) string {
	return parametersOf(map[string]string{"instance": f.Instance, "user": f.User, "cause": string(f.Cause), "reason": f.Reason, "kind": kind, "id": f.ID}).Encode()
}

func (c *Console) handleDeadLetters(w http.ResponseWriter, r *http.Request) {
	view := deadLettersView{HasQueue: c.Queue != nil, Causes: fault.Causes()}
	if c.Queue != nil {
		view.Filter, view.Kind = filterOf(r.FormValue)
		view.Query = queryOf(view.Filter, view.Kind)
		view.Instances = c.instanceIDs()
		number, _ := strconv.Atoi(r.FormValue("page")) // otherwise the first page
		var err error
		if view.deadLetterPage, err = c.readDeadLetterPage(r.Context(), view.Filter, view.Kind, number); err != nil {
			view.Error = err.Error()
		}
	}
	if n, err := strconv.Atoi(r.FormValue("n")); err == nil {
		switch r.FormValue("done") {
		case "replay":
			view.Done = fmt.Sprintf("%s being replayed. See the Events page for the result.", countDeadLetters(n, " is", " are"))
		case "drop":
			view.Done = fmt.Sprintf("%s deleted.", countDeadLetters(n, " was", " were"))
		}
	}
	c.renderPage(w, r, http.StatusOK, "dead-letters", page{Title: "Dead letters", Section: "letters", Data: view})
}

func countDeadLetters(n int, one, many string) string {
	return formatCount(n) + fault.Plural(n, " dead letter"+one, " dead letters"+many)
}

func (c *Console) handleDeadLetter(w http.ResponseWriter, r *http.Request) {
	var found *delivery.DeadLetter
	if c.Queue != nil {
		f := delivery.DeadLetterFilter{ID: r.PathValue("id"), Limit: 1}
		err := c.Queue.DeadLetters(r.Context(), f, func(l *delivery.DeadLetter) error { found = l; return nil })
		if err != nil {
			c.renderError(w, r, http.StatusInternalServerError, "letters", "Cannot read the dead letter", errorSentence(err))
			return
		}
	}
	if found == nil {
		c.renderError(w, r, http.StatusNotFound, "letters", "No such dead letter", "It may have been replayed or deleted in the meantime.")
		return
	}
	c.renderPage(w, r, http.StatusOK, "dead-letter", page{Title: "Dead letter " + found.ID, Section: "letters", Data: found})
}

// dropConfirmation is the page that asks for confirmation before dead letters are dropped.
type dropConfirmation struct {
	Filter delivery.DeadLetterFilter
	Kind   string
	Count  int
	Parked int // how many of Count are parked
}

// handleDeadLetterAction replays or drops the selected dead letters. Dropping needs a confirmation first.
func (c *Console) handleDeadLetterAction(w http.ResponseWriter, r *http.Request) {
	if c.Queue == nil {
		c.renderError(w, r, http.StatusNotFound, "letters", "This console has no queue", "Run landfall serve to see and replay dead letters.")
		return
	}
	_ = r.ParseForm() // a form that cannot be read has no action
	f, kind, err := selectionOf(r.PostForm)
	if err != nil {
		c.renderError(w, r, http.StatusBadRequest, "letters", "Nothing is selected", "Select dead letters in the list first.")
		return
	}
	f.IsRemoved = c.isRemoved
	defer c.letters.forget()
	switch do := r.PostFormValue("do"); do {
	case "check":
		c.previewReplay(w, r, f, kind)
	case "ask":
		c.confirmDrop(w, r, f, kind)
	case "replay", "drop":
		c.changeDeadLetters(w, r, f, kind, do)
	default:
		c.renderError(w, r, http.StatusBadRequest, "letters", "Nothing was done", "The form contains no known action.")
	}
}

// confirmDrop asks whether the selected dead letters are to be deleted.
func (c *Console) confirmDrop(w http.ResponseWriter, r *http.Request, f delivery.DeadLetterFilter, kind string) {
	q := dropConfirmation{Filter: f, Kind: kind}
	err := c.Queue.DeadLetters(r.Context(), f, func(l *delivery.DeadLetter) error {
		q.Count++
		if l.Parked {
			q.Parked++
		}
		return nil
	})
	if err != nil {
		c.renderError(w, r, http.StatusInternalServerError, "letters", "Cannot read the dead letters", errorSentence(err))
		return
	}
	c.renderPage(w, r, http.StatusOK, "confirm-drop", page{Title: "Delete dead letters?", Section: "letters", Data: q})
}

// changeDeadLetters replays or drops the selected dead letters, and returns to the list.
func (c *Console) changeDeadLetters(w http.ResponseWriter, r *http.Request, f delivery.DeadLetterFilter, kind, do string) {
	change := c.Queue.ReplayDeadLetters
	if do == "drop" {
		change = c.Queue.DropDeadLetters
	}
	n, err := change(r.Context(), f)
	c.Guard.Record(r.Context(), "letters."+do, err, "instance", f.Instance, "id", f.ID, "kind", kind, "by_user", f.User != "", "by_cause", f.Cause != "", "by_reason", f.Reason != "", "count", n)
	f.IDs = nil
	var removed *delivery.RemovedInstanceError
	if errors.As(err, &removed) {
		c.renderError(w, r, http.StatusConflict, "letters", "Cannot replay the dead letters", errorSentence(err))
		return
	}
	if err != nil {
		c.renderError(w, r, http.StatusInternalServerError, "letters", "Cannot "+do+" the dead letters", errorSentence(err))
		return
	}
	f.ID = ""
	back := url.Values{"done": {do}, "n": {strconv.Itoa(n)}}.Encode()
	if q := queryOf(f, kind); q != "" {
		back += "&" + q
	}
	http.Redirect(w, r, Path+"letters?"+back, http.StatusSeeOther)
}

// isRemoved reports whether an instance is no longer in the config, so that no worker processes its dead letters.
func (c *Console) isRemoved(instance string) bool {
	if c.RemovedInstances == nil {
		return false
	}
	return slices.ContainsFunc(c.RemovedInstances(), func(s delivery.Status) bool { return s.Instance == instance })
}
