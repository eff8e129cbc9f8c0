package console

import (
	"fmt"
	"html/template"
	"net/http"
	"strconv"
	"time"

	"github.com/landfall-dev/landfall/framework/delivery"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/server/history"
)

// verdictsPerPage is the number of verdicts on a page.
const verdictsPerPage = 50

// Outcomes of the page of verdicts that stand for several.
const (
	outcomeRetried = "retried"
	outcomeFailed  = "dead or parked"
)

// verdictsView is the page that lists recorded verdicts.
type verdictsView struct {
	Kept                bool // there is a state that keeps verdicts
	Instance, Outcome   string
	Cause               fault.Cause
	From, To            time.Time
	FromText, ToText    string // as they were given
	Instances, Outcomes []string
	Causes              []fault.CauseInfo
	Rows                []listedVerdict
	First               int // number of the first one
	Previous, Following template.URL
	Partial             bool // not all that is recorded was searched
	Error               string
}

// listedVerdict is a verdict with the title of its event; "" if the log no longer has it.
type listedVerdict struct {
	delivery.VerdictRecord
	Title string
}

// FromInput and ToInput return the times for their inputs.
func (v *verdictsView) FromInput() string { return stampInput(v.From, v.FromText) }
func (v *verdictsView) ToInput() string   { return stampInput(v.To, v.ToText) }

// stampInput formats a time for an input. A text that is not a time is returned as it is.
func stampInput(t time.Time, text string) string {
	if t.IsZero() {
		return text
	}
	return t.Local().Format("2006-01-02T15:04:05")
}

// handleVerdicts lists the verdicts that are recorded, newest first, of an instance, an outcome and a time.
func (c *Console) handleVerdicts(w http.ResponseWriter, r *http.Request) {
	view := verdictsView{
		Kept: c.History.Verdicts != nil && c.Queue != nil, Instance: r.FormValue("instance"), Outcome: r.FormValue("outcome"), Cause: fault.Cause(r.FormValue("cause")),
		FromText: r.FormValue("from"), ToText: r.FormValue("to"), Causes: fault.Causes(),
		Outcomes: []string{"delivered", "skipped", outcomeFailed, "dead", "parked", "dropped", outcomeRetried},
	}
	if view.Kept {
		view.Instances = c.instanceIDs()
		number, _ := strconv.Atoi(r.FormValue("page")) // otherwise the first page
		c.findVerdicts(r, &view, max(number, 1))
	}
	c.renderPage(w, r, http.StatusOK, "verdicts", page{Title: "Verdicts", Section: "history", Data: &view})
}

// findVerdicts adds one page of the verdicts to the view.
func (c *Console) findVerdicts(r *http.Request, v *verdictsView, number int) {
	var errFrom, errTo error
	v.From, errFrom = parseStamp(v.FromText)
	v.To, errTo = parseStamp(v.ToText)
	if errFrom != nil || errTo != nil {
		v.Error = "From and To are times such as 2026-01-31T15:04, in the time of the server."
		return
	}
	f := history.VerdictFilter{Instance: v.Instance, Cause: v.Cause, Since: v.From, Until: v.To, Skip: (number - 1) * verdictsPerPage, Limit: verdictsPerPage + 1}
	switch v.Outcome {
	case "":
	case outcomeRetried:
		f.Retried = true
	case outcomeFailed:
		f.Outcomes = []string{"dead", "parked", "dropped"}
	default:
		f.Outcomes = []string{v.Outcome}
	}
	list, complete, err := c.History.Verdicts(r.Context(), f)
	if err != nil {
		v.Error = errorSentence(err)
	}
	v.Partial, v.First = !complete, f.Skip+1
	if number > 1 {
		v.Previous = v.pageQuery(number - 1)
	}
	if len(list) > verdictsPerPage {
		list, v.Following = list[:verdictsPerPage], v.pageQuery(number+1)
	}
	for _, verdict := range list {
		row := listedVerdict{VerdictRecord: verdict}
		if e, err := c.Queue.Event(r.Context(), verdict.Seq, verdict.Index); err == nil {
			row.Title = eventTitle(e)
		}
		v.Rows = append(v.Rows, row)
	}
}

// pageQuery returns the query of another page of the same verdicts.
func (v *verdictsView) pageQuery(number int) template.URL {
	return template.URL(parametersOf(map[string]string{
		"page": strconv.Itoa(number), "instance": v.Instance, "outcome": v.Outcome, "cause": string(v.Cause), "from": v.FromText, "to": v.ToText,
	}).Encode())
}

// parseStamp reads a time as links have it, or as people type it in the local time; zero if the text is empty.
func parseStamp(text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if t, err := time.Parse(time.RFC3339, text); err == nil {
		return t, nil
	}
	for _, layout := range []string{"2006-01-02T15:04", "2006-01-02T15:04:05", "2006-01-02 15:04", time.DateTime, time.DateOnly} {
		if t, err := time.ParseInLocation(layout, text, time.Local); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("%q is not a time", fault.Shorten(text, 40))
}
