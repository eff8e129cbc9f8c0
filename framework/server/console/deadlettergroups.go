package console

import (
	"cmp"
	"context"
	"errors"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/landfall-dev/landfall/framework/delivery"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/runtime/explain"
)

// Limits of the pages of dead letters.
const (
	maxGrouped   = 20_000 // dead letters that are read to group them
	maxPreviewed = 500    // dead letters that are tried before a replay
	maxOutcomes  = 20     // different outcomes that a preview lists
)

// deadLetterGroup is the dead letters of a selection with the same cause.
type deadLetterGroup struct {
	Cause         fault.Cause // "" in dead letters of earlier versions
	Dead, Parked  int
	Newest        time.Time
	Example, Next string       // the reason of the newest dead letter, and what to do
	Link          template.URL // the query of the page with these dead letters only
}

// Total is the number of dead letters.
func (g deadLetterGroup) Total() int { return g.Dead + g.Parked }

// Dead and Parked are the numbers of all groups.
func (p *deadLetterPage) Dead() (n int) {
	for _, g := range p.Groups {
		n += g.Dead
	}
	return n
}

// Parked is explained at Dead.
func (p *deadLetterPage) Parked() (n int) {
	for _, g := range p.Groups {
		n += g.Parked
	}
	return n
}

// deadLetterPage is the part of a selection that one page shows.
type deadLetterPage struct {
	Groups        []deadLetterGroup // the largest first
	Total         int               // of the selection, up to maxGrouped
	Partial       bool              // there are more than Total
	Page          int               // from 1
	Previous      template.URL      // the query of the page before; "" if there is none
	Following     template.URL      // likewise
	First, Last   int               // of the dead letters that are shown, counted from 1
	DeadLetters   []*delivery.DeadLetter
	groupsByCause map[fault.Cause]*deadLetterGroup
}

// readDeadLetterPage reads one page of the dead letters that a filter selects, and groups all of them by cause.
func (c *Console) readDeadLetterPage(ctx context.Context, f delivery.DeadLetterFilter, kind string, number int) (*deadLetterPage, error) {
	p := &deadLetterPage{Page: max(number, 1), groupsByCause: map[fault.Cause]*deadLetterGroup{}}
	from := (p.Page - 1) * maxDeadLetters
	f.Limit = maxGrouped + 1
	err := c.Queue.DeadLetters(ctx, f, func(l *delivery.DeadLetter) error {
		if p.Total == maxGrouped {
			p.Partial = true
			return nil
		}
		p.Total++
		p.addToGroup(l)
		if p.Total > from && len(p.DeadLetters) < maxDeadLetters {
			p.DeadLetters = append(p.DeadLetters, l)
		}
		return nil
	})
	for _, g := range p.groupsByCause {
		only := f
		only.Cause = g.Cause
		g.Link, g.Next = template.URL(queryOf(only, kind)), g.Cause.Next()
		p.Groups = append(p.Groups, *g)
	}
	slices.SortFunc(p.Groups, func(a, b deadLetterGroup) int {
		return cmp.Or(cmp.Compare(b.Total(), a.Total()), cmp.Compare(a.Cause, b.Cause))
	})
	query := queryOf(f, kind)
	p.First, p.Last = from+1, from+len(p.DeadLetters)
	if p.Page > 1 {
		p.Previous = pageQuery(query, p.Page-1)
	}
	if p.Last < p.Total {
		p.Following = pageQuery(query, p.Page+1)
	}
	return p, err
}

// pageQuery adds the number of a page to a query.
func pageQuery(query string, number int) template.URL {
	if query != "" {
		query += "&"
	}
	return template.URL(query + "page=" + strconv.Itoa(number)) // the query is encoded
}

func (p *deadLetterPage) addToGroup(l *delivery.DeadLetter) {
	g := p.groupsByCause[l.Cause]
	if g == nil {
		g = &deadLetterGroup{Cause: l.Cause}
		p.groupsByCause[l.Cause] = g
	}
	if l.Parked {
		g.Parked++
	} else {
		g.Dead++
	}
	if l.At.After(g.Newest) {
		g.Newest, g.Example = l.At, l.Reason
	}
}

// replayPreview is the page that says what a replay would do.
type replayPreview struct {
	Filter   delivery.DeadLetterFilter
	Kind     string
	Count    int // of the selection
	Tried    int // of the selection, at most maxPreviewed
	Parked   int
	Outcomes []replayOutcome // the most frequent first
	More     int             // outcomes that are not listed
	Problems fault.Problems  // why the current config cannot be used to try the events
	Back     template.URL
}

// replayOutcome is an outcome that a replay would have for some events.
type replayOutcome struct {
	Instance, Subscription, Outcome, Reason string
	Count                                   int
}

// previewReplay tries the selected dead letters with the current config, without sending anything.
func (c *Console) previewReplay(w http.ResponseWriter, r *http.Request, f delivery.DeadLetterFilter, kind string) {
	view := replayPreview{Filter: f, Kind: kind, Back: template.URL(queryOf(f, kind))}
	requests := &explain.Recorder{}
	cfg, problems := c.loadConfig()
	plans, err := c.BuildPlans(cfg, problems, DryRun, requests.Observe)
	view.Problems = fault.ProblemsOf(err)
	counts := map[replayOutcome]int{}
	err = c.Queue.DeadLetters(r.Context(), f, func(l *delivery.DeadLetter) error {
		view.Count++
		if l.Parked {
			view.Parked++
		}
		if view.Tried < maxPreviewed && len(view.Problems) == 0 {
			view.Tried++
			counts[tryDeadLetter(r.Context(), plans, l, requests)]++
		}
		return nil
	})
	if err != nil {
		c.renderError(w, r, http.StatusInternalServerError, "letters", "Cannot read the dead letters", errorSentence(err))
		return
	}
	for o, n := range counts {
		o.Count = n
		view.Outcomes = append(view.Outcomes, o)
	}
	slices.SortFunc(view.Outcomes, func(a, b replayOutcome) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Instance, b.Instance), cmp.Compare(a.Subscription, b.Subscription), cmp.Compare(a.Reason, b.Reason))
	})
	if n := len(view.Outcomes); n > maxOutcomes {
		view.Outcomes, view.More = view.Outcomes[:maxOutcomes], n-maxOutcomes
	}
	c.renderPage(w, r, http.StatusOK, "confirm-replay", page{Title: "Replay dead letters?", Section: "letters", Data: view})
}

// tryDeadLetter returns what the current config would make of a dead letter's event.
func tryDeadLetter(ctx context.Context, plans []Instance, l *delivery.DeadLetter, requests *explain.Recorder) replayOutcome {
	o := replayOutcome{Instance: l.Instance, Subscription: l.Subscription, Outcome: "refused"}
	e, err := event.Parse(l.Event)
	if err != nil {
		o.Reason = err.Error()
		return o
	}
	for _, in := range plans {
		if in.Plan.ID() != l.Instance {
			continue
		}
		s := in.Plan.Subscription(l.Subscription)
		if s == nil {
			o.Reason = fault.CauseSubscriptionRemoved.Text()
			return o
		}
		trace := explain.DryRun(ctx, in.Plan, s, e, requests)
		o.Outcome, o.Reason = trace.Outcome, trace.Reason
		return o
	}
	o.Reason = "the instance is not in the config, or is disabled"
	return o
}

// errNothingSelected means that a form asks for the selected dead letters, and none is selected.
var errNothingSelected = errors.New("no dead letter is selected")

// selectionOf returns the filter of a form: the selected dead letters if the form asks for these, otherwise all that its filter selects.
func selectionOf(form url.Values) (delivery.DeadLetterFilter, string, error) {
	f, kind := filterOf(form.Get)
	if form.Get("only") == "selected" {
		if len(form["pick"]) == 0 {
			return f, kind, errNothingSelected
		}
		f.IDs = form["pick"]
	}
	return f, kind, nil
}
