package connect

import (
	"context"
	"errors"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/destination/oauth"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/runtime"
	"github.com/landfall-dev/landfall/framework/runtime/config"
	"github.com/landfall-dev/landfall/framework/runtime/instances"
	"github.com/landfall-dev/landfall/framework/state"
)

// component is shared by the output and the processor. It is safe for concurrent use.
type component struct {
	mu        sync.Mutex // one call at a time
	sender    sender
	maxFuture time.Duration               // see incoming.Complete; 0 for the default
	key       *service.InterpolatedString // nil to order by the event's user
	refused   string
	log       *service.Logger
	counted   *service.MetricCounter
	waiting   *service.MetricGauge
	store     *state.Store // nil if the config names no place for the state

	suppressed suppression
}

func (f factory) newComponent(conf *service.ParsedConfig, mgr *service.Resources) (*component, error) {
	metrics := mgr.Metrics()
	c := &component{log: mgr.Logger(), counted: metrics.NewCounter("landfall_verdicts", "instance", "outcome"), waiting: metrics.NewGauge("landfall_waiting")}
	target, err := c.readFields(conf)
	if err != nil {
		return nil, err
	}
	cfg, err := readConfig(conf)
	if err != nil {
		return nil, err
	}
	c.maxFuture = cfg.Server.MaxFuture
	if c.store, err = openStore(cfg, target.SandboxName()); err != nil {
		return nil, err
	}
	c.suppressed = suppression{config: cfg.Config, store: c.store, log: c.log}
	registry, err := f.catalog.RegistryFor(cfg.Config)
	if err == nil {
		err = c.suppressed.refresh(context.Background())
	}
	if err == nil {
		c.sender.plans, err = c.loadPlans(conf, cfg, registry, &target)
	}
	if err != nil {
		_ = c.Close(context.Background())
		return nil, err
	}
	return c, nil
}

// readFields reads the fields that are not in Landfall's config, and returns where the component delivers.
func (c *component) readFields(conf *service.ParsedConfig) (target instances.Target, err error) {
	var hold time.Duration
	var sandboxed bool
	var sandboxURL, key string
	for _, err := range []error{
		readField(&c.refused, conf.FieldString, "refused"), readField(&c.sender.retryFor, conf.FieldDuration, "retry_for"),
		readField(&c.sender.outage, conf.FieldDuration, "outage"),
		readField(&hold, conf.FieldDuration, "hold"), readField(&c.sender.parallel, conf.FieldInt, "parallel"),
		readField(&sandboxed, conf.FieldBool, "sandbox"), readField(&sandboxURL, conf.FieldString, "sandbox_url"), readField(&key, conf.FieldString, "key"),
	} {
		if err != nil {
			return target, err
		}
	}
	c.sender.order = newOrder(hold, time.Now)
	if key != "" {
		if c.key, err = conf.FieldInterpolatedString("key"); err != nil {
			return target, err
		}
	}
	return targetOf(sandboxed, sandboxURL)
}

// readField reads one field of a component.
func readField[T any](into *T, read func(...string) (T, error), name string) (err error) {
	*into, err = read(name)
	return err
}

// targetOf returns where a component delivers.
func targetOf(sandboxed bool, sandboxURL string) (instances.Target, error) {
	if sandboxURL == "" {
		return instances.Target{Sandbox: sandboxed, Live: !sandboxed}, nil
	}
	to, err := url.Parse(sandboxURL)
	if err == nil && to.Host == "" {
		err = fault.Problems{{Message: "sandbox_url should be a URL such as http://127.0.0.1:8900"}}
	}
	return instances.Target{SandboxURL: sandboxURL}, err
}

// loadedConfig is a config file and its problems.
type loadedConfig struct {
	*config.Config
	problems fault.Problems
}

func readConfig(conf *service.ParsedConfig) (loadedConfig, error) {
	path, err := conf.FieldString("config")
	if err != nil {
		return loadedConfig{}, err
	}
	cfg, problems := config.Load(path, config.Env{})
	if cfg == nil {
		return loadedConfig{}, problems.Err()
	}
	return loadedConfig{cfg, problems}, nil
}

// openStore opens the state of a config. It returns nil if the config sets neither a data directory nor state.url. Each sandbox has its own state.
func openStore(cfg loadedConfig, sandbox string) (*state.Store, error) {
	if cfg.StateLocation() == "" || len(cfg.problems) > 0 {
		return nil, nil
	}
	return instances.OpenState(context.Background(), cfg.Config, "", sandbox)
}

// loadPlans returns the plans of a config, or those of the instances that the component names.
func (c *component) loadPlans(conf *service.ParsedConfig, cfg loadedConfig, registry *destination.Registry, target *instances.Target) ([]*runtime.Plan, error) {
	var logins *oauth.Manager
	if c.store != nil && cfg.StateKey != "" {
		var err error
		if logins, err = instances.OpenLoginManager(cfg.Config, c.store); err != nil {
			return nil, cfg.Document.Locate(fault.ProblemsOf(err))
		}
	}
	plans, err := runtime.Load(cfg.Config, cfg.problems, registry, func(in config.Instance, of destination.Entry) (runtime.Host, error) {
		host := runtime.Host{Env: os.LookupEnv, Log: newSlogger(c.log), Logins: logins}
		if target.Sandbox && of.Plugin.Sandbox == nil {
			return host, fault.Problems{{Pointer: in.Pointer + "/destination", Message: "has no sandbox"}}
		}
		var err error
		if host.Transport, err = target.NewTransport(of.Plugin); err != nil {
			return host, err
		}
		if c.store != nil {
			ledger := c.store.Ledger(in.ID)
			host.State, host.Members = ledger, ledger
			if err := c.claimLedger(ledger, in, instances.LedgerTarget(target, in, of.Definition)); err != nil {
				return host, err
			}
		}
		switch {
		case target.Sandbox:
			host.Token = func(context.Context, string, string) (string, error) { return "sandbox-token", nil }
		case logins == nil && runtime.NeedsLogin(of.Definition, in):
			return host, fault.Problems{{Pointer: in.Pointer + "/auth", Message: "its tokens are stored encrypted: set data (or state.url) and state.key, and log in with landfall auth login"}}
		}
		return host, nil
	})
	if err != nil {
		return nil, err
	}
	return selectPlans(conf, plans)
}

// claimLedger marks the ledger of an enabled instance with its target. If the ledger has another target, that is a problem of the config.
func (c *component) claimLedger(ledger *state.Ledger, in config.Instance, to state.Target) error {
	if !in.Enabled {
		return nil
	}
	adopted, err := ledger.Claim(context.Background(), to)
	if adopted {
		c.log.Warnf("the ledger of %s has no target, since an earlier version wrote it: it is used for %s", in.ID, to)
	}
	var other *state.TargetError
	if errors.As(err, &other) {
		return fault.Problems{{Pointer: in.Pointer + "/settings", Message: other.Error()}}
	}
	return err
}

// selectPlans returns the plans of the instances that a component names, or all plans if it names none.
func selectPlans(conf *service.ParsedConfig, plans []*runtime.Plan) ([]*runtime.Plan, error) {
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
			return nil, fault.Problems{{Message: "instances: there is no enabled instance \"" + id + "\"" + fault.DidYouMean(id, known) + "; the config has " + strings.Join(known, ", ")}}
		}
	}
	if len(list) == 0 {
		return nil, fault.Problems{{Message: "the config has no enabled instance"}}
	}
	return list, nil
}

// deliverBatch delivers a batch. It returns one result per message, in the same order.
func (c *component) deliverBatch(ctx context.Context, batch service.MessageBatch) []result {
	c.mu.Lock()
	defer c.mu.Unlock()
	_ = c.suppressed.refresh(ctx) // it has succeeded once, so it fails no more
	messages := make([]*message, len(batch))
	replaced := replacedTimes{}
	for i, m := range batch {
		raw, err := m.AsBytes()
		if err != nil {
			c.log.With("error", err).Warn("a message cannot be read")
		}
		messages[i] = newMessage(slices.Clone(raw), c.maxFuture, func(e event.Event) string { return c.keyOf(batch, i, e) })
		replaced.add(messages[i])
		messages[i].suppressed = c.suppressed.hasUserOf(messages[i].event.Value())
	}
	replaced.warn(c.log)
	c.sender.sendAll(ctx, messages)
	c.waiting.Set(int64(c.sender.order.held))
	results := make([]result, len(messages))
	for i, m := range messages {
		results[i] = m.result
		c.recordResult(m)
	}
	return results
}

// recordResult counts the verdicts of a message, and logs a message that is dropped, with the messageId of its event.
func (c *component) recordResult(m *message) {
	if !m.decided {
		return // it is recorded when the message comes again and is decided
	}
	for _, v := range m.verdicts {
		c.counted.Incr(1, v.Instance, string(v.Outcome))
		if v.Outcome == runtime.Refused && c.refused == "drop" {
			id := fault.Shorten(m.event.Value().Get("messageId").Text(), 100)
			c.log.With("messageId", id, "instance", v.Instance, "subscription", v.Subscription, "reason", v.Reason).Warn("an event was refused and is dropped")
		}
	}
}

// errorFor returns the error that the pipeline gets for a message.
func (c *component) errorFor(r result) error {
	if r.overallVerdict().Outcome == runtime.Refused && c.refused == "drop" {
		return nil
	}
	return r.asError()
}

// Close closes the instances and the state.
func (c *component) Close(ctx context.Context) error {
	var all []error
	for _, p := range c.sender.plans {
		all = append(all, p.Close(ctx))
	}
	if c.store != nil {
		all = append(all, c.store.Close())
	}
	return errors.Join(all...)
}
