package console

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/landfall-dev/landfall/framework/destination/httpx"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/event/incoming"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/runtime/config"
	"github.com/landfall-dev/landfall/framework/runtime/explain"
)

// testerView is the page that takes one event through the config.
type testerView struct {
	Samples  []sample
	Chosen   string
	Event    string
	Problem  string // why the event cannot be read
	Problems fault.Problems
	Sections []storySection
	Sent     Target // where it was sent; "" where it was not
	Ask      bool   // whether to really send is asked
	Pretends bool
	Hosts    []string
	File     string
}

// storySection is what becomes of an event in one instance.
type storySection struct {
	Instance    string
	Destination string
	Stories     []storyView
}

type storyView struct {
	explain.Story
	Calls []callView
}

// callView is a request, and its answer where there was one.
type callView struct {
	Method, URL, Body string
	Headers           [][2]string
	Status            int // 0 where it was not sent, or not answered
	Answer, Error     string
	Milliseconds      int64
}

// tester shows the page, and takes an event on its way.
func (c *Console) tester(w http.ResponseWriter, r *http.Request) {
	ctx, do := r.Context(), r.PostFormValue("do")
	view := testerView{Samples: c.samples(ctx), Event: r.PostFormValue("event"), Pretends: c.Pretends, File: c.File, Chosen: r.FormValue("sample")}
	if view.Event == "" || do == "pick" {
		view.Chosen, view.Event = sampleText(view.Samples, r.FormValue("sample"))
	}
	if r.Method == http.MethodPost && do != "pick" {
		c.test(ctx, &view, do)
	}
	c.show(w, r, http.StatusOK, "tester", page{Title: "Tester", Section: "test", Data: view})
}

// test fills in what becomes of the event: nothing is sent unless do says where.
func (c *Console) test(ctx context.Context, view *testerView, do string) {
	e, err := event.Parse([]byte(strings.TrimSpace(view.Event)))
	if err != nil {
		view.Problem = err.Error()
		return
	}
	to := Nowhere
	switch {
	case do == "sandbox" && c.Pretends:
		to = Real // which is a sandbox, with what it has been sent
	case do == "sandbox":
		to = Sandbox
	case do == "real" && !c.Pretends:
		to = Real
	case do == "ask" && !c.Pretends:
		view.Ask = true
	}
	cfg, problems := c.load()
	if cfg != nil {
		e = incoming.Complete(e, time.Now(), cfg.Server.MaxFuture)
	}
	sections, err := c.stories(ctx, cfg, problems, e, to)
	if do == "real" && to == Real {
		c.Guard.Record(ctx, "event.send", err)
	}
	if view.Problems = fault.ProblemsOf(err); err != nil {
		return
	}
	view.Sections = sections
	if view.Sent = to; to == Nowhere {
		view.Sent = ""
	} else if c.Pretends {
		view.Sent = Sandbox
	}
	for _, s := range sections {
		for _, st := range s.Stories {
			for _, call := range st.Calls {
				view.Hosts = addNew(view.Hosts, hostOf(call.URL))
			}
		}
	}
}

// stories take an event through every subscription of a config.
func (c *Console) stories(ctx context.Context, cfg *config.Config, problems fault.Problems, e event.Event, to Target) ([]storySection, error) {
	requests := &explain.Recorder{}
	instances, err := c.Make(cfg, problems, to, requests.Observe)
	if err != nil {
		return nil, err
	}
	var sections []storySection
	for _, in := range instances {
		section := storySection{Instance: in.Plan.ID(), Destination: in.Plan.Definition().Name}
		for _, s := range in.Plan.Subscriptions() {
			st := storyView{}
			if to == Nowhere {
				st.Story = explain.Dry(ctx, in.Plan, s, e, requests)
			} else {
				st.Story = explain.Deliver(ctx, in.Plan, s, e, requests)
			}
			for _, x := range st.Exchanges {
				st.Calls = append(st.Calls, callOf(x, to != Nowhere))
			}
			section.Stories = append(section.Stories, st)
		}
		sections = append(sections, section)
	}
	return sections, nil
}

func callOf(x httpx.Exchange, sent bool) callView {
	v := callView{Method: x.Method, URL: x.URL, Body: pretty(x.Body)}
	for _, name := range []string{"Content-Type", "Authorization"} {
		if value := x.Header.Get(name); value != "" {
			v.Headers = append(v.Headers, [2]string{name, value})
		}
	}
	if !sent {
		return v
	}
	v.Status, v.Answer, v.Milliseconds = x.Status, pretty(x.ResponseBody), x.Duration.Milliseconds()
	if x.Err != nil {
		v.Error = x.Err.Error()
	}
	return v
}

func addNew(list []string, text string) []string {
	for _, known := range list {
		if known == text {
			return list
		}
	}
	return append(list, text)
}

func hostOf(url string) string {
	_, rest, _ := strings.Cut(url, "://")
	host, _, _ := strings.Cut(rest, "/")
	return host
}

// Absent tells whether a field has no value.
func (storyView) Absent(v json.RawMessage) bool { return len(v) == 0 }
