package console

import (
	"fmt"
	"net/http"
	"time"

	"github.com/landfall-dev/landfall/framework/delivery"
)

type deliveriesView struct {
	Runs      bool // something delivers here
	Pretends  bool
	Wide      bool // an hour instead of five minutes
	Instances []instanceView
	Latest    []verdictView
}

// instanceView is how far an instance is.
type instanceView struct {
	delivery.Status
	Destination string
	State, Tone string
	Hint        string // what to do, where something is to be done
	Figures     []figure
	Chart       bars
}

type figure struct {
	Name, Value, Words string
	Class              string
}

func (c *Console) deliveries(w http.ResponseWriter, r *http.Request) {
	view := deliveriesView{Runs: c.Runner != nil, Pretends: c.Pretends, Wide: r.FormValue("window") == "hour"}
	if c.Runner != nil {
		names := c.destinations()
		window := 5 * time.Minute
		if view.Wide {
			window = time.Hour
		}
		for _, s := range c.Runner.Status() {
			view.Instances = append(view.Instances, c.instance(s, names[s.Instance], window))
		}
		if c.Gone != nil {
			for _, s := range c.Gone() {
				view.Instances = append(view.Instances, c.instance(s, "not in the config", window))
			}
		}
		view.Latest = verdictViews(c.Runner.Verdicts(20, func(*delivery.VerdictRecord) bool { return true }))
	}
	if r.FormValue("part") != "" {
		c.part(w, "deliveries", "live", view)
		return
	}
	c.show(w, r, http.StatusOK, "deliveries", page{Title: "Deliveries", Section: "deliveries", Data: view})
}

// destinations are the names of the running instances' destinations.
func (c *Console) destinations() map[string]string {
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

func (c *Console) instance(s delivery.Status, destination string, window time.Duration) instanceView {
	v := instanceView{Status: s, Destination: destination, Chart: chartOf(c.history.of(s.Instance), window, time.Now())}
	waiting := s.Waiting + s.Behind
	switch stopping := firstStopping(s.Findings); {
	case s.Removed:
		v.State, v.Tone = "gone", "stopped"
		v.Hint = fmt.Sprintf("This instance is not in the config any more, and this is left of it, with %d members in its ledger. If it has another id now, landfall instances rename %s NEW gives it that; landfall instances forget %[2]s deletes it.",
			s.Members, s.Instance)
	case stopping != nil:
		v.State, v.Tone, v.Hint = "not delivering", "stopped", stopping.Text()
	case s.Stopped != "":
		v.State, v.Tone, v.Hint = "stopped", "stopped", s.Stopped
	case s.Paused:
		v.State, v.Tone = "rate limited", "waiting"
		v.Hint = "The remote asks to wait until " + s.Until.Local().Format("15:04:05") + ". Its events are kept, and go on by themselves. To end the pause: landfall resume " + s.Instance
	case holding(s.Findings) != nil:
		v.State, v.Tone, v.Hint = "held up", "waiting", holding(s.Findings).Text()
	case waiting > 0:
		v.State, v.Tone = "delivering", "delivering"
	default:
		v.State, v.Tone = "idle", "quiet"
	}
	t := tallyOf(s, time.Now())
	v.Figures = []figure{
		{Name: "Accepted", Value: count(t.accepted), Words: "events read, replays included"},
		{Name: "Delivered", Value: count(t.delivered), Class: "delivered", Words: "the remote has them"},
		{Name: "Skipped", Value: count(t.skipped), Class: "skipped", Words: "nothing was to be done"},
		{Name: "Retried", Value: count(t.retried), Class: "retried", Words: "tries since the start"},
		{Name: "Dead or parked", Value: count(t.dead), Class: "dead", Words: "set aside"},
		{Name: "Waiting", Value: count(waiting), Words: "events not finished"},
		{Name: "Lag", Value: lag(s.Lag), Words: "age of the oldest"},
	}
	return v
}

// firstStopping returns the first finding that stops this server from delivering; nil if there is none.
func firstStopping(list []delivery.Finding) *delivery.Finding {
	for i := range list {
		if list[i].Stops != "" && list[i].Stops != delivery.StopsIngest {
			return &list[i]
		}
	}
	return nil
}

// holding returns the first finding that needs an operator, or that keeps events from being taken; nil if there is none.
func holding(list []delivery.Finding) *delivery.Finding {
	for i := range list {
		switch list[i].Code {
		case delivery.CodeParkedFull, delivery.CodeLettersNear, delivery.CodeLost, delivery.CodeDamaged:
			return &list[i]
		}
		if list[i].Stops != "" {
			return &list[i]
		}
	}
	return nil
}

// verdictView is a verdict in a list.
type verdictView struct {
	delivery.VerdictRecord
	Who string
}

func verdictViews(list []delivery.VerdictRecord) []verdictView {
	views := make([]verdictView, len(list))
	for i, s := range list {
		views[i] = verdictView{s, s.User()}
	}
	return views
}
