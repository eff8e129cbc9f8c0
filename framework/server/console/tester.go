package console

import (
	"context"
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

// testerView is the page that runs one event through the config.
type testerView struct {
	eventTest
	Samples     []sample
	Chosen      string
	SandboxOnly bool
	File        string
}

// eventTest is an event that the user runs through a config, and the result.
type eventTest struct {
	Event   string
	Problem string // why the event cannot be read
	// ReplacedTime is why the event's timestamp was replaced, or "".
	ReplacedTime string
	// Refusal is why the server would refuse the event when it arrives, or "".
	Refusal  string
	Problems fault.Problems
	Sections []explanationSection
	SentTo   Target // "" if nothing was sent
	Confirm  bool   // ask for confirmation before sending to the real endpoint
	Hosts    []string
}

// explanationSection explains an event for each subscription of one instance.
type explanationSection struct {
	Instance     string
	Destination  string
	Explanations []explanationView
}

type explanationView struct {
	explain.Trace
	Calls []callView
}

// callView is a request with its response.
type callView struct {
	Method, URL, Body string
	Headers           [][2]string
	Status            int // 0 if it was not sent or got no response
	Response, Error   string
	Milliseconds      int64
}

// handleTester shows the tester page and runs the submitted event.
func (c *Console) handleTester(w http.ResponseWriter, r *http.Request) {
	ctx, do := r.Context(), r.PostFormValue("do")
	view := testerView{Samples: c.sampleEvents(ctx), SandboxOnly: c.SandboxOnly, File: c.File, Chosen: r.FormValue("sample")}
	if view.Event = r.PostFormValue("event"); view.Event == "" || do == "pick" {
		view.Chosen, view.Event = chooseSample(view.Samples, r.FormValue("sample"))
	}
	if r.Method == http.MethodPost && do != "pick" {
		if to, err := c.runTest(ctx, &view.eventTest, do, c.loadConfig); do == "real" && to == Real {
			c.Guard.Record(ctx, "event.send", err)
		}
	}
	c.renderPage(w, r, http.StatusOK, "tester", page{Title: "Tester", Section: "test", Data: view})
}

// runTest explains the event with a config or sends it, depending on do, and stores the result in t. It returns where it sent the event.
func (c *Console) runTest(ctx context.Context, t *eventTest, do string, load func() (*config.Config, fault.Problems)) (to Target, err error) {
	e, err := event.Parse([]byte(strings.TrimSpace(t.Event)))
	if err != nil {
		t.Problem = err.Error()
		return DryRun, err
	}
	to = DryRun
	switch {
	case do == "sandbox" && c.SandboxOnly:
		to = Real // the server's sandbox, with its state
	case do == "sandbox":
		to = Sandbox
	case do == "real" && !c.SandboxOnly:
		to = Real
	case do == "ask" && !c.SandboxOnly:
		t.Confirm = true
	}
	cfg, problems := load()
	if cfg != nil {
		e, t.ReplacedTime = incoming.CompleteWithReason(e, time.Now(), cfg.Server.MaxFuture)
		t.Refusal = incoming.Refusal(e)
	}
	sections, err := c.explainEvent(ctx, cfg, problems, e, to)
	if t.Problems = fault.ProblemsOf(err); err != nil {
		return to, err
	}
	t.Sections = sections
	if t.SentTo = to; to == DryRun {
		t.SentTo = ""
	} else if c.SandboxOnly {
		t.SentTo = Sandbox
	}
	for _, s := range sections {
		for _, st := range s.Explanations {
			for _, call := range st.Calls {
				t.Hosts = appendUnique(t.Hosts, hostOf(call.URL))
			}
		}
	}
	return to, nil
}

// explainEvent runs an event through every subscription of a config.
func (c *Console) explainEvent(ctx context.Context, cfg *config.Config, problems fault.Problems, e event.Event, to Target) ([]explanationSection, error) {
	requests := &explain.Recorder{}
	instances, err := c.BuildPlans(cfg, problems, to, requests.Observe)
	if err != nil {
		return nil, err
	}
	var sections []explanationSection
	for _, in := range instances {
		section := explanationSection{Instance: in.Plan.ID(), Destination: in.Plan.Definition().Name}
		for _, s := range in.Plan.Subscriptions() {
			st := explanationView{}
			if to == DryRun {
				st.Trace = explain.DryRun(ctx, in.Plan, s, e, requests)
			} else {
				st.Trace = explain.Deliver(ctx, in.Plan, s, e, requests)
			}
			for _, x := range st.Exchanges {
				st.Calls = append(st.Calls, newCallView(x, to != DryRun))
			}
			section.Explanations = append(section.Explanations, st)
		}
		sections = append(sections, section)
	}
	return sections, nil
}

func newCallView(x httpx.Exchange, sent bool) callView {
	v := callView{Method: x.Method, URL: x.URL, Body: indentJSON(x.Body)}
	for _, name := range []string{"Content-Type", "Authorization"} {
		if value := x.Header.Get(name); value != "" {
			v.Headers = append(v.Headers, [2]string{name, value})
		}
	}
	if !sent {
		return v
	}
	v.Status, v.Response, v.Milliseconds = x.Status, indentJSON(x.ResponseBody), x.Duration.Milliseconds()
	if x.Err != nil {
		v.Error = x.Err.Error()
	}
	return v
}

func appendUnique(list []string, text string) []string {
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
