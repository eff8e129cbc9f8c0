package connect

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/landfall-dev/landfall/destinations"
	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/destination/httpx"
	"github.com/landfall-dev/landfall/framework/destination/oauth"
	"github.com/landfall-dev/landfall/framework/destination/sandbox"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/runtime"
	"github.com/landfall-dev/landfall/framework/runtime/config"
	"github.com/landfall-dev/landfall/framework/state"
)

// component is what the output and the processor share.
type component struct {
	mu        sync.Mutex // one call at a time
	sender    sender
	maxFuture time.Duration               // see incoming.Complete; 0 is the default
	key       *service.InterpolatedString // nil for the user of the event
	refused   string
	log       *service.Logger
	counted   *service.MetricCounter
	waiting   *service.MetricGauge
	store     *state.Store // nil where nothing is kept
}

func newComponent(conf *service.ParsedConfig, mgr *service.Resources) (*component, error) {
	metrics := mgr.Metrics()
	c := &component{log: mgr.Logger(), counted: metrics.NewCounter("landfall_verdicts", "instance", "outcome"), waiting: metrics.NewGauge("landfall_waiting")}
	var hold time.Duration
	var sandboxed bool
	var sandboxURL, key string
	for _, err := range []error{
		field(&c.refused, conf.FieldString, "refused"), field(&c.sender.retryFor, conf.FieldDuration, "retry_for"),
		field(&c.sender.outage, conf.FieldDuration, "outage"),
		field(&hold, conf.FieldDuration, "hold"), field(&c.sender.parallel, conf.FieldInt, "parallel"),
		field(&sandboxed, conf.FieldBool, "sandbox"), field(&sandboxURL, conf.FieldString, "sandbox_url"), field(&key, conf.FieldString, "key"),
	} {
		if err != nil {
			return nil, err
		}
	}
	if key != "" {
		var err error
		if c.key, err = conf.FieldInterpolatedString("key"); err != nil {
			return nil, err
		}
	}
	transport, err := transportOf(sandboxed, sandboxURL)
	if err != nil {
		return nil, err
	}
	c.sender.order = newOrder(hold, time.Now)
	cfg, err := readConfig(conf)
	if err != nil {
		return nil, err
	}
	pretended := state.SandboxName(sandboxed, sandboxURL)
	c.maxFuture = cfg.Server.MaxFuture
	if c.store, err = openStore(cfg, pretended); err != nil {
		return nil, err
	}
	c.sender.plans, err = c.plans(conf, cfg, transport, pretended)
	if err != nil {
		_ = c.Close(context.Background())
		return nil, err
	}
	return c, nil
}

// field reads one field of a component.
func field[T any](into *T, read func(...string) (T, error), name string) (err error) {
	*into, err = read(name)
	return err
}

// transportOf makes the base transport of a destination; nil is the usual one.
func transportOf(sandboxed bool, sandboxURL string) (func(destination.Plugin) http.RoundTripper, error) {
	switch {
	case sandboxURL != "":
		to, err := url.Parse(sandboxURL)
		if err == nil && to.Host == "" {
			err = fault.Problems{{Message: "sandbox_url should be a URL such as http://127.0.0.1:8900"}}
		}
		base := httpx.NewTransport(httpx.TransportConfig{})
		return func(destination.Plugin) http.RoundTripper { return httpx.Redirect(base, to) }, err
	case sandboxed:
		return func(p destination.Plugin) http.RoundTripper {
			if p.Sandbox == nil {
				return nil
			}
			return sandbox.Transport(p.Sandbox.New(nil))
		}, nil
	}
	return func(destination.Plugin) http.RoundTripper { return httpx.NewTransport(httpx.TransportConfig{}) }, nil
}

// read is a config file and what is wrong with it.
type read struct {
	*config.Config
	problems fault.Problems
}

func readConfig(conf *service.ParsedConfig) (read, error) {
	path, err := conf.FieldString("config")
	if err != nil {
		return read{}, err
	}
	cfg, problems := config.Load(path, config.Env{})
	if cfg == nil {
		return read{}, problems.Err()
	}
	return read{cfg, problems}, nil
}

// openStore opens what the config says that state is kept in; nil where it says nothing. A sandbox has a state of its own.
func openStore(cfg read, sandbox string) (*state.Store, error) {
	place := cfg.StateLocation()
	if place == "" || len(cfg.problems) > 0 {
		return nil, nil
	}
	store, err := state.OpenSandbox(context.Background(), place, sandbox)
	if err != nil {
		return nil, err
	}
	return store.WithMaxFuture(cfg.Server.MaxFuture), nil
}

// plans are those of the config, or those among them that the component names.
func (c *component) plans(conf *service.ParsedConfig, cfg read, transport func(destination.Plugin) http.RoundTripper, sandbox string) ([]*runtime.Plan, error) {
	registry, err := destinations.Registry()
	if err != nil {
		return nil, err
	}
	var logins *oauth.Manager
	if c.store != nil && cfg.StateKey != "" {
		box, err := oauth.NewBox(cfg.StateKey)
		if err != nil {
			return nil, cfg.Document.Locate(fault.Problems{{Pointer: "/state/key", Message: err.Error()}})
		}
		logins = oauth.NewManager(c.store.Tokens(), box)
	}
	plans, err := runtime.Load(cfg.Config, cfg.problems, registry, func(in config.Instance, of destination.Entry) (runtime.Host, error) {
		host := runtime.Host{Transport: transport(of.Plugin), Env: os.LookupEnv, Log: slogOf(c.log), Logins: logins}
		if host.Transport == nil {
			return host, fault.Problems{{Pointer: in.Pointer + "/destination", Message: "has no sandbox"}}
		}
		if c.store != nil {
			ledger := c.store.Ledger(in.ID)
			host.State, host.Members = ledger, ledger
			if err := c.claim(ledger, in, state.Target{Sandbox: sandbox, Destination: of.Definition.Slug, Remote: of.Definition.Remote(in.Settings)}); err != nil {
				return host, err
			}
		}
		switch {
		case sandbox == state.SandboxName(true, ""):
			host.Token = func(context.Context, string, string) (string, error) { return "sandbox-token", nil }
		case logins == nil && runtime.NeedsLogin(of.Definition, in):
			return host, fault.Problems{{Pointer: in.Pointer + "/auth", Message: "its tokens are kept encrypted: set data (or state.url) and state.key, and log in with landfall auth login"}}
		}
		return host, nil
	})
	if err != nil {
		return nil, err
	}
	return chosen(conf, plans)
}

// claim marks the ledger of an instance that delivers with its target. If it has another one, that is a problem of the config.
func (c *component) claim(ledger *state.Ledger, in config.Instance, to state.Target) error {
	if !in.Enabled {
		return nil
	}
	adopted, err := ledger.Claim(context.Background(), to)
	if adopted {
		c.log.Warnf("the ledger of %s does not say where its members were sent, since an earlier version wrote it: it is taken for that of %s", in.ID, to)
	}
	var other *state.TargetError
	if errors.As(err, &other) {
		return fault.Problems{{Pointer: in.Pointer + "/settings", Message: other.Error()}}
	}
	return err
}

// chosen are the plans that a component names, all of them where it names none.
func chosen(conf *service.ParsedConfig, plans []*runtime.Plan) ([]*runtime.Plan, error) {
	ids, err := conf.FieldStringList("instances")
	if err != nil {
		return nil, err
	}
	var known []string
	var list []*runtime.Plan
	for _, p := range plans {
		known = append(known, p.ID())
		if len(ids) == 0 || slices.Contains(ids, p.ID()) {
			list = append(list, p)
		}
	}
	for _, id := range ids {
		if !slices.Contains(known, id) {
			return nil, fault.Problems{{Message: "instances: there is no enabled instance \"" + id + "\"" + fault.DidYouMean(id, known) + "; there are " + strings.Join(known, ", ")}}
		}
	}
	if len(list) == 0 {
		return nil, fault.Problems{{Message: "the config has no enabled instance"}}
	}
	return list, nil
}

// deliver takes a batch through the plans. The results are index by index.
func (c *component) deliver(ctx context.Context, batch service.MessageBatch) []result {
	c.mu.Lock()
	defer c.mu.Unlock()
	messages := make([]*message, len(batch))
	for i, m := range batch {
		raw, err := m.AsBytes()
		if err != nil {
			c.log.With("error", err).Warn("a message cannot be read")
		}
		messages[i] = newMessage(slices.Clone(raw), c.maxFuture, func(e event.Event) string { return c.keyOf(batch, i, e) })
	}
	c.sender.send(ctx, messages)
	c.waiting.Set(int64(c.sender.order.held))
	results := make([]result, len(messages))
	for i, m := range messages {
		results[i] = m.result
		c.tell(m.result)
	}
	return results
}

// tell counts verdicts, and logs those of messages that are dropped.
func (c *component) tell(r result) {
	if !r.decided {
		return // it is told of when it has come again
	}
	for _, v := range r.verdicts {
		c.counted.Incr(1, v.Instance, string(v.Outcome))
		if v.Outcome == runtime.Refused && c.refused == "drop" {
			c.log.With("instance", v.Instance, "subscription", v.Subscription, "reason", v.Reason).Warn("an event was refused and is dropped")
		}
	}
}

// failure is the error that the pipeline gets for a message.
func (c *component) failure(r result) error {
	if r.verdict().Outcome == runtime.Refused && c.refused == "drop" {
		return nil
	}
	return r.err()
}

// Close ends the use of what the component has opened.
func (c *component) Close(context.Context) error {
	if c.store == nil {
		return nil
	}
	return c.store.Close()
}
