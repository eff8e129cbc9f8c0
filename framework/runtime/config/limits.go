package config

import (
	"slices"
	"strings"
	"time"

	"github.com/landfall-dev/landfall/framework/dispatch/budget"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
)

// Limits are the limits of what is sent. Zero fields are not set.
type Limits struct {
	RequestsPerSecond int64
	RequestsPerHour   int64
	Sliding           bool // RequestsPerHour counts for any hour, and not for clock hours
	BytesPerSecond    int64
	Background        float64 // the largest share of replays
	Concurrency       int     // the largest number of requests at once; of an instance only
	Budget            string  // the budget that an instance shares; of an instance only
}

// Budget is a named budget that instances share.
type Budget struct {
	Name string
	Limits
}

// longWindow is the least length of a window that RequestsPerHour replaces; RequestsPerSecond replaces shorter ones.
const longWindow = time.Minute

// Resolve returns the limits for a budget, with the documented ones of a destination in place of those that are not set.
func (l Limits) Resolve(documented []budget.Window) budget.Limits {
	resolved := budget.Limits{BytesPerSecond: l.BytesPerSecond, Background: l.Background}
	for _, w := range documented {
		if isLong := w.Per >= longWindow; isLong && l.RequestsPerHour == 0 || !isLong && l.RequestsPerSecond == 0 {
			resolved.Windows = append(resolved.Windows, w)
		}
	}
	if l.RequestsPerSecond > 0 {
		resolved.Windows = append(resolved.Windows, budget.Window{Limit: l.RequestsPerSecond, Per: time.Second})
	}
	if l.RequestsPerHour > 0 {
		resolved.Windows = append(resolved.Windows, budget.Window{Limit: l.RequestsPerHour, Per: time.Hour, Aligned: !l.Sliding})
	}
	return resolved
}

// FindBudget returns the budget with a name.
func (c *Config) FindBudget(name string) (Budget, bool) {
	for _, b := range c.Budgets {
		if b.Name == name {
			return b, true
		}
	}
	return Budget{}, false
}

// readLimits reads the limits of an instance or a budget.
func readLimits(v event.Value) Limits {
	return Limits{
		RequestsPerSecond: int64(v.Get("requestsPerSecond").Float()), RequestsPerHour: int64(v.Get("requestsPerHour").Float()),
		Sliding: v.Get("hourWindow").Str() == "sliding", BytesPerSecond: int64(v.Get("bytesPerSecond").Float()),
		Background: v.Get("background").Float(), Concurrency: int(v.Get("concurrency").Float()), Budget: v.Get("budget").Str(),
	}
}

// readBudgets reads the budgets that instances share.
func (r *reader) readBudgets(v event.Value) {
	for name, b := range v.Members() {
		if strings.TrimSpace(name) == "" {
			r.problems.Add("/budgets"+fault.PointerKey(name), "needs a name")
		}
		r.checkHourWindow(b, "/budgets"+fault.PointerKey(name))
		r.config.Budgets = append(r.config.Budgets, Budget{name, readLimits(b)})
	}
}

// ownLimits are the limits that an instance cannot have together with a budget.
var ownLimits = [...]string{"requestsPerSecond", "requestsPerHour", "hourWindow", "bytesPerSecond", "background"}

// checkLimits checks the limits of an instance.
func (r *reader) checkLimits(v event.Value, place string) {
	name := v.Get("budget").Str()
	if name == "" {
		r.checkHourWindow(v, place)
		return
	}
	if _, ok := r.config.FindBudget(name); !ok {
		var names []string
		for _, b := range r.config.Budgets {
			names = append(names, b.Name)
		}
		r.problems.Add(place+"/budget", "there is no budget %q%s: define it in budgets", name, fault.DidYouMean(name, names))
	}
	for key := range v.Members() {
		if slices.Contains(ownLimits[:], key) {
			r.problems.Add(place+fault.PointerKey(key), "cannot be combined with budget: set it in budgets.%s", name)
		}
	}
}

// checkHourWindow reports an hourWindow without the limit that it is about.
func (r *reader) checkHourWindow(v event.Value, place string) {
	if v.Get("hourWindow").Exists() && !v.Get("requestsPerHour").Exists() {
		r.problems.Add(place+"/hourWindow", "has no effect without requestsPerHour")
	}
}
