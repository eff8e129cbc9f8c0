package console

import (
	"context"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/landfall-dev/landfall/framework/delivery"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/server/history"
)

// Limits of the page with live events.
const (
	maxLiveSearched = 500 // events and rejections that are searched
	maxLiveShown    = 100
)

// Outcomes of the filter that no verdict has.
const (
	outcomeNone     = "no verdict"
	outcomeRejected = "rejected"
)

// liveFilter selects live events. Empty fields select all.
type liveFilter struct{ Outcome, Event, Source, Instance, Audience, Text string }

// liveView is the page with the latest events.
type liveView struct {
	HasQueue  bool
	Filter    liveFilter
	Paused    bool
	Rows      []liveRow
	Searched  int
	Outcomes  []string
	Instances []string
	Errors    []string     // what could not be read
	Part      string       // path of the live part
	Query     template.URL // of the filter
	IngestURL string       // where to send events
}

// liveRow is an accepted or rejected event.
type liveRow struct {
	At           time.Time
	Link         string // "" for a rejected event
	Name, Source string
	Verdicts     []delivery.VerdictRecord
	Rejected     string // why it was rejected
}

func liveFilterOf(get func(string) string) liveFilter {
	read := func(name string) string { return strings.TrimSpace(get(name)) }
	return liveFilter{read("outcome"), read("event"), read("source"), read("instance"), read("audience"), read("text")}
}

// query returns the filter as parameters.
func (f liveFilter) query() url.Values {
	return parametersOf(map[string]string{"outcome": f.Outcome, "event": f.Event, "source": f.Source, "instance": f.Instance, "audience": f.Audience, "text": f.Text})
}

// handleLive shows the latest events that a filter selects.
func (c *Console) handleLive(w http.ResponseWriter, r *http.Request) {
	f := liveFilterOf(r.FormValue)
	q := f.query()
	view := liveView{
		HasQueue: c.Runner != nil, Filter: f, Paused: r.FormValue("paused") != "", Query: template.URL(q.Encode()), IngestURL: c.ingestURL(r),
		Outcomes: []string{"delivered", "skipped", "dead", "parked", "dropped", outcomeNone, outcomeRejected},
	}
	q.Set("part", "1")
	view.Part = Path + "live?" + q.Encode()
	if c.Runner != nil {
		view.Instances = c.instanceIDs()
		c.findLive(r.Context(), &view)
	}
	c.renderLive(w, r, http.StatusOK, "live", page{Title: "Live events", Section: "live", Data: view})
}

// findLive adds the latest events to the page, newest first.
func (c *Console) findLive(ctx context.Context, view *liveView) {
	f := view.Filter
	list, _, err := c.Queue.Latest(ctx, "", maxLiveSearched)
	view.addError(err)
	verdicts, err := c.verdictsOf(ctx, list)
	view.addError(err)
	for _, l := range list {
		row := liveRow{At: l.At, Link: fmt.Sprintf("events/%d/%d", l.Seq, l.Index), Name: eventTitle(l), Source: l.Source, Verdicts: verdicts[positionOf(l.Seq, l.Index)]}
		if f.selects(l.Raw, l.Source) && f.selectsVerdicts(row.Verdicts) {
			view.Rows = append(view.Rows, row)
		}
	}
	view.Searched = len(list)
	if c.Rejections != nil {
		rejected, err := c.Rejections(ctx, maxLiveSearched)
		view.addError(err)
		view.addRejections(rejected)
	}
	slices.SortStableFunc(view.Rows, func(a, b liveRow) int { return b.At.Compare(a.At) })
	view.Rows = view.Rows[:min(len(view.Rows), maxLiveShown)]
}

// addError adds what could not be read, if err is not nil. The rest of the page is shown.
func (v *liveView) addError(err error) {
	if err != nil {
		v.Errors = append(v.Errors, errorSentence(err))
	}
}

// addRejections adds the rejected events that the filter selects. They belong to no instance.
func (v *liveView) addRejections(list []history.Rejection) {
	possible := v.Filter.Instance == "" && (v.Filter.Outcome == "" || v.Filter.Outcome == outcomeRejected)
	for _, r := range list {
		if possible && v.Filter.selects([]byte(r.Event), r.Source) {
			v.Rows = append(v.Rows, liveRow{At: r.At, Name: eventTitle(delivery.StoredEvent{Raw: []byte(r.Event)}), Source: r.Source, Rejected: r.Reason})
		}
	}
	v.Searched += len(list)
}

// selects reports whether the filter selects an event by what it contains.
func (f liveFilter) selects(raw []byte, source string) bool {
	if f.Source != "" && f.Source != source || f.Text != "" && !strings.Contains(strings.ToLower(string(raw)), strings.ToLower(f.Text)) {
		return false
	}
	if f.Event == "" && f.Audience == "" {
		return true
	}
	e, err := event.Parse(raw)
	if err != nil {
		return false
	}
	v := e.Value()
	if f.Event != "" && !strings.EqualFold(v.Get("event").Str(), f.Event) && !strings.EqualFold(v.Get("type").Str(), f.Event) {
		return false
	}
	personas := v.Get("context").Get("personas")
	return f.Audience == "" || personas.Get("computation_key").Str() == f.Audience || personas.Get("computation_id").Str() == f.Audience
}

// selectsVerdicts reports whether the filter selects an accepted event by its verdicts.
func (f liveFilter) selectsVerdicts(list []delivery.VerdictRecord) bool {
	if f.Outcome == "" && f.Instance == "" {
		return true
	}
	if f.Outcome == outcomeNone {
		return !slices.ContainsFunc(list, func(v delivery.VerdictRecord) bool { return f.Instance == "" || v.Instance == f.Instance })
	}
	return slices.ContainsFunc(list, func(v delivery.VerdictRecord) bool {
		return (f.Outcome == "" || v.Outcome == f.Outcome) && (f.Instance == "" || v.Instance == f.Instance)
	})
}

// batchView is the page of a batch.
type batchView struct {
	*delivery.Batch
	Members []verdictView
}

// maxLookedUp limits the events that are read for their users.
const maxLookedUp = 500

// addUsers adds the ordering keys, which have the users, to verdicts of the history, as far as the log has their events.
func (c *Console) addUsers(ctx context.Context, list []delivery.VerdictRecord) {
	for i := range list[:min(len(list), maxLookedUp)] {
		v := &list[i]
		if v.Key != "" {
			continue
		}
		if stored, err := c.Queue.Event(ctx, v.Seq, v.Index); err == nil {
			if e, err := event.Parse(stored.Raw); err == nil {
				v.Key = event.OrderingKey(e.Value())
			}
		}
	}
}

// handleBatch shows a batch that this server has sent: its requests with their answers, and its events with their verdicts.
func (c *Console) handleBatch(w http.ResponseWriter, r *http.Request) {
	view := batchView{}
	if c.Runner != nil {
		id := r.PathValue("id")
		list := c.Runner.Verdicts(delivery.MaxVerdicts, func(v *delivery.VerdictRecord) bool { return v.Batch != nil && v.Batch.ID == id })
		if len(list) == 0 && c.History.Verdicts != nil { // an older one, or one of another server
			list, _, _ = c.History.Verdicts(r.Context(), history.VerdictFilter{Batch: id, Limit: delivery.MaxVerdicts})
		}
		c.addUsers(r.Context(), list)
		view.Members = verdictViews(list)
	}
	if len(view.Members) == 0 {
		c.renderError(w, r, http.StatusNotFound, "live", "No such batch", "Batches are kept as long as verdicts: seven days, if the config does not say otherwise in delivery.history.")
		return
	}
	view.Batch = view.Members[0].Batch
	c.renderPage(w, r, http.StatusOK, "batch", page{Title: "Batch " + view.Batch.ID, Section: "live", Data: view})
}
