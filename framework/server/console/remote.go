package console

import (
	"context"
	"errors"
	"net/url"
	"strconv"
	"time"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/runtime"
)

// live is a plan of a form whose credentials are those that were typed to be tried, else those of the environment. What was typed
// is kept nowhere.
func (c *Console) live(form *setupForm, q url.Values, to Target) (*runtime.Plan, error) {
	tried := map[string]string{}
	instance := form.instance()
	settings := membersOf(instance.Get("settings"))
	for i, s := range form.Settings {
		if v := q.Get(s.Try); s.Try != "" && v != "" {
			name := "LANDFALL_TRIED_" + strconv.Itoa(i)
			tried[name] = v
			settings = set(settings, s.Field.Key, event.NewString("${"+name+"}"))
		}
	}
	instance = event.NewObject(set(set(membersOf(instance), "settings", event.NewObject(settings)), "enabled", event.Value{}))
	lookup := c.lookup
	if to == Sandbox {
		lookup = c.pretend
	}
	cfg, problems := c.parse(instance, form.Added, func(name string) (string, bool) {
		if v, ok := tried[name]; ok {
			return v, true
		}
		return lookup(name)
	})
	instances, err := c.Make(cfg, problems, to, nil)
	if err != nil {
		return nil, err
	}
	for _, in := range instances {
		if in.Plan.ID() == form.ID {
			return in.Plan, nil
		}
	}
	return nil, errors.New("the instance needs an id first")
}

// patience is how long a remote has to answer.
const patience = 30 * time.Second

// askRemote asks the remote whether credentials are good.
func (c *Console) askRemote(ctx context.Context, form *setupForm, q url.Values, to Target) *answerView {
	plan, err := c.live(form, q, to)
	if err != nil {
		return &answerView{Message: "There is something to mend before anybody can be asked.", Told: err.Error()}
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := plan.Test(ctx); err != nil {
		return &answerView{Message: "The credentials do not work.", Told: capitalized(err.Error())}
	}
	return &answerView{Good: true, Message: "The credentials are good."}
}

// fetchChoices asks the remote for the values of a field, by its name in the form.
func (c *Console) fetchChoices(ctx context.Context, form *setupForm, q url.Values, name string, to Target) {
	for _, s := range form.Subs {
		for _, in := range s.all() {
			if in.Name != name || !in.Dynamic() {
				continue
			}
			plan, err := c.live(form, q, to)
			if err != nil {
				in.Fetched = "There is something to mend before the remote can be asked: " + err.Error()
				return
			}
			ctx, cancel := context.WithTimeout(ctx, patience)
			defer cancel()
			found, err := plan.Choices(ctx, s.ActionKey, in.Field.Key, "", "", event.NewObject(nil))
			if err != nil {
				in.Fetched = capitalized(err.Error())
				return
			}
			in.Offered, in.Fetched = found.Choices, "The remote knows none."
			switch {
			case found.NextPage != "":
				in.Fetched = "The first " + count(len(found.Choices)) + " are offered as you type."
			case len(found.Choices) > 0:
				in.Fetched = count(len(found.Choices)) + " offered as you type."
			}
			return
		}
	}
}
