// Package instances makes the plans of a config: it gives each instance its destination, transport, ledger and tokens, for the
// real remotes, a sandbox or a dry run.
//
// A program reads the config with [config.Load], opens the state with [OpenState], and gets a plan for each enabled instance from
// [Load]. The [Target] says where requests go, and the [Catalog] which destinations there are. A program that has transports or
// stores of its own calls runtime.Load instead.
//
// The package knows nothing of queues and HTTP servers. Its functions can be called concurrently.
package instances

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"slices"
	"sync"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/destination/httpx"
	"github.com/landfall-dev/landfall/framework/destination/sandbox"
	"github.com/landfall-dev/landfall/framework/dispatch/budget"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/runtime"
	"github.com/landfall-dev/landfall/framework/runtime/config"
	"github.com/landfall-dev/landfall/framework/state"
)

// Target is where requests are sent. At most one of its fields is set, except that DryRun overrides the others.
type Target struct {
	Sandbox    bool   // to the destinations' sandboxes in this process
	SandboxURL string // to a sandbox in another process
	Live       bool   // to the real remotes
	DryRun     bool   // nowhere
}

// SandboxURLError is the error of a Target whose SandboxURL is not a URL with a host. Its text is the SandboxURL.
type SandboxURLError string

func (e SandboxURLError) Error() string {
	return fmt.Sprintf("--sandbox-url should be a URL such as http://127.0.0.1:8900 but is %q", string(e))
}

// Description describes the target in output for people.
func (t *Target) Description() string {
	switch {
	case t.DryRun:
		return "dry run: nothing is sent"
	case t.SandboxURL != "":
		return "sandbox at " + t.SandboxURL
	case t.Live:
		return "live"
	}
	return "sandbox: nothing leaves this machine"
}

// NewTransport returns the base transport of a destination for the target.
func (t *Target) NewTransport(p destination.Plugin) (http.RoundTripper, error) {
	switch {
	case t.DryRun:
		return newDryRun(p), nil
	case t.SandboxURL != "":
		to, err := url.Parse(t.SandboxURL)
		if err != nil || to.Host == "" {
			return nil, SandboxURLError(t.SandboxURL)
		}
		return httpx.Redirect(httpx.NewTransport(httpx.TransportConfig{}), to), nil
	case t.Sandbox && p.Sandbox == nil:
		return nil, errors.New("this destination has no sandbox: use --dry-run")
	case t.Sandbox:
		if err := p.Sandbox.Mistakes(nil); err != nil {
			return nil, fmt.Errorf("the sandbox of %s has mistakes:\n%v", p.Sandbox.Name, err) // not %w: their places are in another file than the config
		}
		return sandbox.Transport(p.Sandbox.New(nil)), nil
	}
	return httpx.NewTransport(httpx.TransportConfig{}), nil
}

// Instance is a plan with the parts from which it was compiled.
type Instance struct {
	Plan      *runtime.Plan
	Plugin    destination.Plugin
	Transport http.RoundTripper // to its remote, before authentication
	Config    config.Instance
	Ledger    *state.Ledger // nil without a store
}

// KeepsAudiences reports whether the instance has audiences, and a ledger of their members.
func (in *Instance) KeepsAudiences() bool { return in.Ledger != nil && in.Plugin.Audiences != nil }

// ConfigVersion identifies the instance's part of the config and, if the destination is not built in, its definition.
func (in *Instance) ConfigVersion() string {
	if in.Plugin.File == "" {
		return in.Config.Version()
	}
	sum := sha256.Sum256([]byte(in.Plan.Definition().Document.Value().JSON()))
	return in.Config.Version() + hex.EncodeToString(sum[:])
}

// Options holds what a program provides for the plans of its instances.
type Options struct {
	Target  *Target
	Catalog Catalog
	Store   *state.Store // nil to keep no state
	Data    string       // the data directory, if it is not the config's
	Secrets *state.Store // the state of the real destinations, which has the secrets; opened if it is nil and needed
	Use     LedgerUse
	// Members is used instead of the ledgers of Store; nil to use those.
	Members destination.Members
	Warn    func(string)         // prints a warning; nil to write it to Log
	Observe func(httpx.Exchange) // receives each request and its response; may be nil
	Log     *slog.Logger         // nil to log nothing
	Budgets *Budgets             // what is left of the limits, kept when plans are replaced; nil for new ones
	Remotes *Remotes             // keeps sandboxes when plans are replaced; may be nil
}

// Remotes holds the sandboxes of this process by remoteKey. It is safe for concurrent use.
type Remotes struct {
	mu    sync.Mutex
	byKey map[string]http.RoundTripper
}

// NewRemotes returns an empty Remotes.
func NewRemotes() *Remotes { return &Remotes{byKey: map[string]http.RoundTripper{}} }

// getOrCreate returns the remote with a key, and creates it if there is none.
func (r *Remotes) getOrCreate(key string, create func() (http.RoundTripper, error)) (http.RoundTripper, error) {
	if r == nil {
		return create()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if known := r.byKey[key]; known != nil {
		return known, nil
	}
	made, err := create()
	if err == nil {
		r.byKey[key] = made
	}
	return made, err
}

// Load returns a plan for every enabled instance of a config. cfg and problems are the results of config.Load. The error has every
// mistake in the file.
func Load(cfg *config.Config, problems fault.Problems, h Options) ([]Instance, error) {
	registry, err := h.Catalog.ReadRegistryFor(cfg)
	if registry == nil {
		return nil, err
	}
	problems = slices.Concat(problems, fault.ProblemsOf(err))
	if h.Remotes == nil && (h.Target.Sandbox || h.Target.SandboxURL != "") {
		h.Remotes = NewRemotes()
	}
	if h.Budgets == nil {
		h.Budgets = NewBudgets(nil)
	}
	var limits map[string]budget.Limits
	if cfg != nil {
		limits = limitsOf(cfg, registry)
		h.Budgets.create(limits)
	}
	cfg, unsealed := h.OpenSecrets(context.Background(), cfg)
	problems = append(problems, unsealed...)
	made := map[string]Instance{}
	plans, err := runtime.Load(cfg, problems, registry, func(in config.Instance, of destination.Entry) (runtime.Host, error) {
		parts, host, err := h.HostFor(cfg, in, of)
		made[in.ID] = parts
		return host, err
	})
	if err != nil {
		return nil, err
	}
	list := make([]Instance, len(plans))
	for i, plan := range plans {
		list[i] = made[plan.ID()]
		list[i].Plan = plan
	}
	if err := h.UseLedgers(cfg, list); err != nil {
		return list, err
	}
	if h.Use == ClaimLedgers { // other plans do not replace those that deliver
		h.Budgets.setLimits(limits)
	}
	return list, nil
}

// Close closes what the destinations of instances opened, see [runtime.Plan.Close].
func Close(ctx context.Context, list []Instance) error {
	var all []error
	for _, in := range list {
		if in.Plan != nil {
			all = append(all, in.Plan.Close(ctx))
		}
	}
	return errors.Join(all...)
}

// remoteKey returns a key that is equal for instances with the same remote: the same sandbox, and the same endpoint in their settings. An
// instance of a destination without a sandbox has its own key.
func (h *Options) remoteKey(in config.Instance, of destination.Entry) string {
	switch {
	case h.Target.SandboxURL != "":
		return h.Target.SandboxURL
	case of.Plugin.Sandbox == nil:
		return "instance " + in.ID
	}
	endpoint := in.Settings.Get("endpoint")
	if f := of.Definition.Settings.Get("endpoint"); f != nil && endpoint.Kind() == event.Absent {
		endpoint = f.Default
	}
	return "sandbox " + of.Plugin.Sandbox.Name + " " + endpoint.Text()
}

// HostFor returns the host of an instance's plan, and the instance without the plan.
func (h *Options) HostFor(cfg *config.Config, in config.Instance, of destination.Entry) (Instance, runtime.Host, error) {
	made := Instance{Plugin: of.Plugin, Config: in}
	var err error
	if made.Transport, err = h.Remotes.getOrCreate(h.remoteKey(in, of), func() (http.RoundTripper, error) { return h.Target.NewTransport(of.Plugin) }); err != nil {
		return made, runtime.Host{}, err
	}
	host := runtime.Host{Transport: made.Transport, Observe: h.Observe, Env: os.LookupEnv, Log: h.Log, MaxPause: cfg.Server.MaxPause}
	if h.Budgets != nil {
		host.Gate = h.Budgets.newGate(in)
	}
	if h.Store != nil {
		made.Ledger = h.Store.Ledger(in.ID)
		host.State, host.Members = made.Ledger, made.Ledger
	}
	if h.Members != nil {
		host.Members = h.Members
	}
	return made, host, h.setTokens(&host, cfg, in, of.Definition)
}
