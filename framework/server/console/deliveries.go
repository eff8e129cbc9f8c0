package console

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/landfall-dev/landfall/framework/delivery"
	"github.com/landfall-dev/landfall/framework/dispatch/budget"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/server/history"
)

type deliveriesView struct {
	HasQueue    bool
	SandboxOnly bool
	Windows     []window
	Window      window
	Error       string
	Overview    []overviewRow
	Instances   []instanceView
	InBrowser   []Instance // instances whose actions pages perform
	Latest      []verdictView
}

// instanceView is the delivery status of an instance.
type instanceView struct {
	delivery.Status
	Destination string
	DeadLetters int // dead and parked events
	State, Tone string
	Hint        string // what the operator should do; "" if nothing
	Figures     []figure
	Chart       chart
}

type figure struct {
	Name, Value, Help string
	Class             string
	Link              string // to the list of what is counted; "" if there is none
}

func (c *Console) handleDeliveries(w http.ResponseWriter, r *http.Request) {
	view := deliveriesView{HasQueue: c.Runner != nil, SandboxOnly: c.SandboxOnly, Windows: windows(), Window: windowOf(r.FormValue("window"))}
	if c.Runner != nil {
		names := c.destinationNames()
		slots, err := c.countsOf(r.Context(), view.Window)
		if err != nil {
			view.Error = errorSentence(err)
		}
		for _, s := range c.Runner.Status() {
			view.Instances = append(view.Instances, newInstanceView(s, names[s.Instance], c.currentDeadLetters(r.Context(), s), slots, view.Window))
		}
		view.InBrowser = c.browserInstances()
		if c.RemovedInstances != nil {
			for _, s := range c.RemovedInstances() {
				view.Instances = append(view.Instances, newInstanceView(s, "not in the config", c.currentDeadLetters(r.Context(), s), slots, view.Window))
			}
		}
		view.Overview = c.overview(r.Context(), view.Instances, slots, view.Window)
		view.Instances = worstFirst(view.Instances, view.Overview)
		view.Latest = c.latestVerdicts(r.Context(), 20)
	}
	c.renderLive(w, r, http.StatusOK, "deliveries", page{Title: "Deliveries", Section: "deliveries", Data: view})
}

// worstFirst returns the instances in the order of the overview.
func worstFirst(list []instanceView, rows []overviewRow) []instanceView {
	sorted := make([]instanceView, 0, len(list))
	for _, row := range rows {
		for _, v := range list {
			if v.Instance == row.Instance {
				sorted = append(sorted, v)
				break
			}
		}
	}
	return sorted
}

// browserInstances returns the running instances whose actions pages perform.
func (c *Console) browserInstances() (list []Instance) {
	instances, err := c.Running()
	if err != nil {
		return nil
	}
	for _, in := range instances {
		if in.Plan.RunsInBrowser() {
			list = append(list, in)
		}
	}
	return list
}

// destinationNames returns the destination name of each running instance, by instance id.
func (c *Console) destinationNames() map[string]string {
	names := map[string]string{}
	instances, err := c.Running()
	if err != nil {
		return names
	}
	for _, in := range instances {
		names[in.Plan.ID()] = in.Plan.Definition().Name
	}
	return names
}

// deadLetterCountTTL is how long a number of dead letters is valid.
const deadLetterCountTTL = 5 * time.Second

// currentDeadLetters returns how many dead letters an instance has now, or had some seconds ago. Its counts have all that it ever had.
func (c *Console) currentDeadLetters(ctx context.Context, s delivery.Status) int {
	if c.Queue == nil {
		return int(s.Counts["dead"] + s.Counts["parked"])
	}
	n, _ := c.letters.get(s.Instance, deadLetterCountTTL, func() (int, error) { return c.Queue.CountDeadLetters(ctx, s.Instance) }) // an older number is better than none
	return n
}

func newInstanceView(s delivery.Status, destination string, letters int, slots []history.CountSlot, w window) instanceView {
	v := instanceView{Status: s, Destination: destination, DeadLetters: letters, Chart: newVerdictChart(s.Instance, slots, w, time.Now())}
	v.Chart.Hits, v.Chart.Rows = nil, nil // the page History has them
	waiting := s.Waiting + s.Behind
	switch stopping := stoppingFinding(s.Findings); {
	case s.Removed:
		v.State, v.Tone = "removed", "stopped"
		v.Hint = fmt.Sprintf("This instance is no longer in the config, but its queue and ledger (%s) remain. If you renamed it, run landfall instances rename %s NEW. To delete its data, run landfall instances forget %[2]s.",
			fault.Count(s.Members, "member"), s.Instance)
	case stopping != nil:
		v.State, v.Tone, v.Hint = "not delivering", "stopped", stopping.Text()
	case s.Stopped != "":
		v.State, v.Tone, v.Hint = "stopped", "stopped", s.Stopped
	case findingOf(s.Findings, delivery.CodeDown) != nil:
		v.State, v.Tone, v.Hint = "remote down", "waiting", findingOf(s.Findings, delivery.CodeDown).Text()
	case findingOf(s.Findings, delivery.CodeBudget) != nil:
		v.State, v.Tone, v.Hint = "budget spent", "waiting", findingOf(s.Findings, delivery.CodeBudget).Text()
	case s.Paused:
		v.State, v.Tone = "rate limited", "waiting"
		v.Hint = "The destination asked to wait until " + s.Until.Local().Format("15:04:05") + ". Events stay queued, and delivery resumes by itself. To resume now, run landfall resume " + s.Instance + "."
	case attentionFinding(s.Findings) != nil:
		v.State, v.Tone, v.Hint = "needs attention", "waiting", attentionFinding(s.Findings).Text()
	case waiting > 0:
		v.State, v.Tone = "delivering", "delivering"
	default:
		v.State, v.Tone = "idle", "quiet"
	}
	v.Figures = append(windowFigures(s, v.Chart), presentFigures(s, waiting, letters)...)
	v.Figures = append(v.Figures, limitFigures(s)...)
	return v
}

// windowFigures returns what the chart of an instance has counted, each with what was counted since the instance was added.
func windowFigures(s delivery.Status, c chart) (list []figure) {
	help := map[string]string{
		"delivered": "Events that the destination accepted", "skipped": "Events that needed no change at the destination", "unmatched": "Events that no subscription matches, or that came twice",
		"retried": "Delivery attempts that were repeated", "dead": "Events that became dead letters",
	}
	ever := map[string]int64{
		"delivered": s.Counts["delivered"], "skipped": s.Counts["skipped"], "unmatched": s.Counts["unmatched"] + s.Counts["duplicate"] + s.Counts["unreadable"], "dead": s.Counts["dead"] + s.Counts["parked"],
	}
	for _, kind := range c.Series {
		f := figure{Name: capitalize(kind.Name), Value: formatCount(kind.Total), Class: kind.Class, Help: help[kind.Class] + " in the last " + c.Window.Past}
		if n, ok := ever[kind.Class]; ok {
			f.Help += "; " + formatCount(n) + " since the instance was added"
		}
		if kind.Total > 0 {
			f.Link = kind.Link
		}
		list = append(list, f)
	}
	return list
}

// presentFigures returns what waits now.
func presentFigures(s delivery.Status, waiting, letters int) []figure {
	link := ""
	if letters > 0 {
		link = "letters?instance=" + url.QueryEscape(s.Instance)
	}
	oldest := "—"
	if waiting > 0 {
		oldest = fault.Duration(s.Lag)
	}
	return []figure{
		{Name: "Dead letters now", Value: formatCount(letters), Help: "Events on the Dead letters page", Link: link},
		{Name: "Waiting now", Value: formatCount(waiting), Help: "Events that are not finished yet"},
		{Name: "Oldest waiting", Value: oldest, Help: "The age of the oldest waiting event"},
	}
}

// limitFigures returns what is left of the limits of an instance, and how long its waiting events will take.
func limitFigures(s delivery.Status) (list []figure) {
	if s.ExpectedEnd.After(time.Now()) {
		list = append(list, figure{Name: "Finished in", Value: fault.Duration(time.Until(s.ExpectedEnd)), Help: "estimated from the events of the last hour"})
	}
	if s.Limits == nil {
		return list
	}
	for _, w := range s.Limits.Budget.Windows {
		help := fmt.Sprintf("of %s %s in %s; resets in %s", formatCount(w.Limit), w.Unit, budget.PerText(w.Per), fault.Duration(max(time.Until(w.Resets), 0)))
		list = append(list, figure{Name: "Budget left", Value: formatCount(w.Left), Help: help})
	}
	return list
}

// findingOf returns the first finding with a code; nil if there is none.
func findingOf(list []delivery.Finding, code delivery.Code) *delivery.Finding {
	for i := range list {
		if list[i].Code == code {
			return &list[i]
		}
	}
	return nil
}

// stoppingFinding returns the first finding that stops delivery on this server; nil if there is none.
func stoppingFinding(list []delivery.Finding) *delivery.Finding {
	for i := range list {
		if list[i].Stops != "" && list[i].Stops != delivery.StopsIngest {
			return &list[i]
		}
	}
	return nil
}

// attentionFinding returns the first finding that needs an operator or stops ingestion; nil if there is none.
func attentionFinding(list []delivery.Finding) *delivery.Finding {
	for i := range list {
		switch list[i].Code {
		case delivery.CodeParkedFull, delivery.CodeSourceRemoved, delivery.CodeDeadLettersNear, delivery.CodeConfigRefused, delivery.CodeLost, delivery.CodeDamaged:
			return &list[i]
		}
		if list[i].Stops != "" {
			return &list[i]
		}
	}
	return nil
}

// verdictView is a row in a list of verdicts.
type verdictView struct {
	delivery.VerdictRecord
	UserID string
}

func verdictViews(list []delivery.VerdictRecord) []verdictView {
	views := make([]verdictView, len(list))
	for i, s := range list {
		views[i] = verdictView{s, s.User()}
	}
	return views
}
