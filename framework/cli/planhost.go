package cli

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"sync"

	"github.com/spf13/cobra"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/destination/httpx"
	"github.com/landfall-dev/landfall/framework/destination/sandbox"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/runtime"
	"github.com/landfall-dev/landfall/framework/runtime/config"
	"github.com/landfall-dev/landfall/framework/state"
)

// configFile is the default name of the config.
const configFile = "landfall.yaml"

// target is where requests are sent.
type target struct {
	sandbox    bool   // to the destinations' sandboxes in this process
	sandboxURL string // to a sandbox in another process
	live       bool   // to the real remotes
	dryRun     bool   // nowhere
}

// addTargetFlags defines the flags that choose the target. does is what the command does there.
func (t *target) addTargetFlags(cmd *cobra.Command, does string) {
	t.addSandboxFlags(cmd, does)
	cmd.Flags().BoolVar(&t.live, "live", false, does+" the real endpoint")
}

// addSandboxFlags defines the flags that choose a sandbox. does is what the command does there.
func (t *target) addSandboxFlags(cmd *cobra.Command, does string) {
	f := cmd.Flags()
	f.BoolVar(&t.sandbox, "sandbox", false, does+" the destination's sandbox in this process")
	f.StringVar(&t.sandboxURL, "sandbox-url", "", does+" a sandbox at this `URL` (see landfall sandbox)")
}

func (t *target) addFlags(cmd *cobra.Command) {
	t.addTargetFlags(cmd, "send to")
	cmd.Flags().BoolVar(&t.dryRun, "dry-run", false, "show the requests and send none")
}

// check returns an error unless exactly one target is chosen. A dry run needs no target and overrides it.
func (t *target) check() error {
	n := 0
	for _, set := range []bool{t.sandbox, t.sandboxURL != "", t.live} {
		if set {
			n++
		}
	}
	switch {
	case n > 1:
		return usageErrorf("give one of --sandbox, --sandbox-url and --live")
	case n == 0 && !t.dryRun:
		return usageErrorf("say where to send: --sandbox, --sandbox-url URL or --live; or --dry-run to send nothing")
	}
	return nil
}

// description describes the target in output for people.
func (t *target) description() string {
	switch {
	case t.dryRun:
		return "dry run: nothing is sent"
	case t.sandboxURL != "":
		return "sandbox at " + t.sandboxURL
	case t.live:
		return "live"
	}
	return "sandbox: nothing leaves this machine"
}

// newTransport returns the base transport of a destination for the target.
func (t *target) newTransport(p destination.Plugin) (http.RoundTripper, error) {
	switch {
	case t.dryRun:
		return dryRunTransport{}, nil
	case t.sandboxURL != "":
		to, err := url.Parse(t.sandboxURL)
		if err != nil || to.Host == "" {
			return nil, usageErrorf("--sandbox-url should be a URL such as http://127.0.0.1:8900 but is %q", t.sandboxURL)
		}
		return httpx.Redirect(httpx.NewTransport(httpx.TransportConfig{}), to), nil
	case t.sandbox && p.Sandbox == nil:
		return nil, errors.New("this destination has no sandbox: use --dry-run")
	case t.sandbox:
		return sandbox.Transport(p.Sandbox.New(nil)), nil
	}
	return httpx.NewTransport(httpx.TransportConfig{}), nil
}

// dryRunTransport is a transport that sends nothing and answers every request with 200 OK.
type dryRunTransport struct{}

func (dryRunTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		_, _ = io.Copy(io.Discard, r.Body)
		_ = r.Body.Close()
	}
	return &http.Response{
		StatusCode: http.StatusOK, Status: "200 OK", Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{}, Body: http.NoBody, Request: r,
	}, nil
}

// findConfig returns the config to use: the given one, otherwise the one beside a file.
func findConfig(given, beside string) (string, error) {
	if given != "" {
		return given, nil
	}
	path := filepath.Join(filepath.Dir(beside), configFile)
	if _, err := os.Stat(path); err != nil {
		return "", usageErrorf("there is no %s beside %s: give one with --config", configFile, beside)
	}
	return path, nil
}

// instance is a plan with the parts it was made of.
type instance struct {
	plan      *runtime.Plan
	plugin    destination.Plugin
	transport http.RoundTripper
	config    config.Instance
	ledger    *state.Ledger // nil without a store
}

// configVersion identifies the instance's part of the config and, if the destination is not built in, its definition.
func (in *instance) configVersion() string {
	if in.plugin.File == "" {
		return in.config.Version()
	}
	sum := sha256.Sum256([]byte(in.plan.Definition().Document.Value().JSON()))
	return in.config.Version() + hex.EncodeToString(sum[:])
}

// planHost holds what the program provides for plans.
type planHost struct {
	target  *target
	catalog catalog
	store   *state.Store // nil to keep no state
	use     ledgerUse
	warn    func(string)         // prints a warning; nil to write it to log
	observe func(httpx.Exchange) // may be nil
	log     *slog.Logger         // nil to log nothing
	remotes *remotes             // keeps sandboxes when plans are replaced; may be nil
}

// remotes holds the sandboxes of this process by remoteKey. It is safe for concurrent use.
type remotes struct {
	mu    sync.Mutex
	byKey map[string]http.RoundTripper
}

func newRemotes() *remotes { return &remotes{byKey: map[string]http.RoundTripper{}} }

// getOrCreate returns the remote with a key, and creates it if there is none.
func (r *remotes) getOrCreate(key string, create func() (http.RoundTripper, error)) (http.RoundTripper, error) {
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

// loadPlans returns a plan for every enabled instance of a config. cfg and problems are the results of config.Load. The error has every
// mistake in the file.
func loadPlans(cfg *config.Config, problems fault.Problems, h planHost) ([]instance, error) {
	registry, err := h.catalog.registryFor(cfg)
	if err != nil {
		return nil, err
	}
	if h.remotes == nil && (h.target.sandbox || h.target.sandboxURL != "") {
		h.remotes = newRemotes()
	}
	made := map[string]instance{}
	plans, err := runtime.Load(cfg, problems, registry, func(in config.Instance, of destination.Entry) (runtime.Host, error) {
		parts, host, err := h.hostFor(cfg, in, of)
		made[in.ID] = parts
		return host, err
	})
	if err != nil {
		return nil, err
	}
	list := make([]instance, len(plans))
	for i, plan := range plans {
		list[i] = made[plan.ID()]
		list[i].plan = plan
	}
	return list, h.useLedgers(cfg, list)
}

// remoteKey returns a key that is equal for instances with the same remote: the same sandbox, and the same endpoint in their settings. An
// instance of a destination without a sandbox has its own key.
func (h *planHost) remoteKey(in config.Instance, of destination.Entry) string {
	switch {
	case h.target.sandboxURL != "":
		return h.target.sandboxURL
	case of.Plugin.Sandbox == nil:
		return "instance " + in.ID
	}
	endpoint := in.Settings.Get("endpoint")
	if f := of.Definition.Settings.Get("endpoint"); f != nil && endpoint.Kind() == event.Absent {
		endpoint = f.Default
	}
	return "sandbox " + of.Plugin.Sandbox.Name + " " + endpoint.Text()
}

// hostFor returns the host of an instance's plan, and the instance without the plan.
func (h *planHost) hostFor(cfg *config.Config, in config.Instance, of destination.Entry) (instance, runtime.Host, error) {
	made := instance{plugin: of.Plugin, config: in}
	var err error
	if made.transport, err = h.remotes.getOrCreate(h.remoteKey(in, of), func() (http.RoundTripper, error) { return h.target.newTransport(of.Plugin) }); err != nil {
		return made, runtime.Host{}, err
	}
	host := runtime.Host{Transport: made.transport, Observe: h.observe, Env: os.LookupEnv, Log: h.log, MaxPause: cfg.Server.MaxPause}
	if h.store != nil {
		made.ledger = h.store.Ledger(in.ID)
		host.State, host.Members = made.ledger, made.ledger
	}
	return made, host, h.setTokens(&host, cfg, in, of.Definition)
}
