package main

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

// configFile is the name of a config that lies beside the events it is for.
const configFile = "landfall.yaml"

// target is where requests go.
type target struct {
	sandbox    bool   // pretend remotes in this process
	sandboxURL string // one in another process
	live       bool   // the real ones
	dryRun     bool   // nowhere
}

// places are the flags that say where requests go; does is what the command does there.
func (t *target) places(cmd *cobra.Command, does string) {
	t.sandboxFlags(cmd, does)
	cmd.Flags().BoolVar(&t.live, "live", false, does+" the real endpoint")
}

// sandboxFlags are the flags that name a sandbox; does is what the command does there.
func (t *target) sandboxFlags(cmd *cobra.Command, does string) {
	f := cmd.Flags()
	f.BoolVar(&t.sandbox, "sandbox", false, does+" the destination's sandbox in this process")
	f.StringVar(&t.sandboxURL, "sandbox-url", "", does+" a sandbox at this `URL` (see landfall sandbox)")
}

func (t *target) flags(cmd *cobra.Command) {
	t.places(cmd, "send to")
	cmd.Flags().BoolVar(&t.dryRun, "dry-run", false, "show the requests and send none")
}

// check refuses no target and two of them. A dry run wins over the others.
func (t *target) check() error {
	n := 0
	for _, set := range []bool{t.sandbox, t.sandboxURL != "", t.live} {
		if set {
			n++
		}
	}
	switch {
	case n > 1:
		return misuse("give one of --sandbox, --sandbox-url and --live")
	case n == 0 && !t.dryRun:
		return misuse("say where to send: --sandbox, --sandbox-url URL or --live; or --dry-run to send nothing")
	}
	return nil
}

// words says where requests go, for people.
func (t *target) words() string {
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

// transport is the base transport for a destination, and the sandbox behind it where that is in this process.
func (t *target) transport(p destination.Plugin) (http.RoundTripper, error) {
	switch {
	case t.dryRun:
		return dryRun{}, nil
	case t.sandboxURL != "":
		to, err := url.Parse(t.sandboxURL)
		if err != nil || to.Host == "" {
			return nil, misuse("--sandbox-url should be a URL such as http://127.0.0.1:8900 but is %q", t.sandboxURL)
		}
		return httpx.Redirect(httpx.NewTransport(httpx.TransportConfig{}), to), nil
	case t.sandbox && p.Sandbox == nil:
		return nil, errors.New("this destination has no sandbox; use --dry-run")
	case t.sandbox:
		return sandbox.Transport(p.Sandbox.New(nil)), nil
	}
	return httpx.NewTransport(httpx.TransportConfig{}), nil
}

// dryRun answers every request as if it had been taken, and sends none.
type dryRun struct{}

func (dryRun) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		_, _ = io.Copy(io.Discard, r.Body)
		_ = r.Body.Close()
	}
	return &http.Response{
		StatusCode: http.StatusOK, Status: "200 OK", Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{}, Body: http.NoBody, Request: r,
	}, nil
}

// findConfig is the config to use: the one given, else the one beside the file.
func findConfig(given, beside string) (string, error) {
	if given != "" {
		return given, nil
	}
	path := filepath.Join(filepath.Dir(beside), configFile)
	if _, err := os.Stat(path); err != nil {
		return "", misuse("there is no %s beside %s: give one with --config", configFile, beside)
	}
	return path, nil
}

// instance is a plan and what it was made of.
type instance struct {
	plan      *runtime.Plan
	plugin    destination.Plugin
	transport http.RoundTripper
	config    config.Instance
	ledger    *state.Ledger // nil where nothing is kept
}

// version changes with what the config says of the instance, and with its definition where that is no part of the program.
func (in *instance) version() string {
	if in.plugin.File == "" {
		return in.config.Version()
	}
	sum := sha256.Sum256([]byte(in.plan.Definition().Document.Value().JSON()))
	return in.config.Version() + hex.EncodeToString(sum[:])
}

// hosting is what plans get from the program.
type hosting struct {
	target      *target
	definitions string               // the directory of --definitions; "" for that of the config
	plugins     []destination.Plugin // beside those of the program
	store       *state.Store         // without one, nothing outlives the plans
	use         ledgerUse
	warn        func(string)         // of what is not an error; nil for log
	observe     func(httpx.Exchange) // may be nil
	log         *slog.Logger         // nil is silent
	remotes     *remotes             // where sandboxes outlive a plan; may be nil
}

// remotes are sandboxes by remoteKey. They are safe for concurrent use.
type remotes struct {
	mu    sync.Mutex
	byKey map[string]http.RoundTripper
}

func newRemotes() *remotes { return &remotes{byKey: map[string]http.RoundTripper{}} }

// of is the remote with a key, made where there is none yet.
func (r *remotes) of(key string, create func() (http.RoundTripper, error)) (http.RoundTripper, error) {
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

// loadPlans makes a plan of every enabled instance of a config as config.Load has read it. The error holds every mistake in the
// file.
func loadPlans(cfg *config.Config, problems fault.Problems, h hosting) ([]instance, error) {
	registry, err := registryFor(h.definitions, cfg, h.plugins...)
	if err != nil {
		return nil, err
	}
	if h.remotes == nil && (h.target.sandbox || h.target.sandboxURL != "") {
		h.remotes = newRemotes()
	}
	made := map[string]instance{}
	plans, err := runtime.Load(cfg, problems, registry, func(in config.Instance, of destination.Entry) (runtime.Host, error) {
		parts, host, err := h.host(cfg, in, of)
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

// remoteKey is what instances have in common that reach the same remote: its sandbox, and the endpoint in their settings. An
// instance of a destination without a sandbox has its own.
func (h *hosting) remoteKey(in config.Instance, of destination.Entry) string {
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

// host is what an instance's plan gets, and the parts of the instance that it is made of.
func (h *hosting) host(cfg *config.Config, in config.Instance, of destination.Entry) (instance, runtime.Host, error) {
	made := instance{plugin: of.Plugin, config: in}
	var err error
	if made.transport, err = h.remotes.of(h.remoteKey(in, of), func() (http.RoundTripper, error) { return h.target.transport(of.Plugin) }); err != nil {
		return made, runtime.Host{}, err
	}
	host := runtime.Host{Transport: made.transport, Observe: h.observe, Env: os.LookupEnv, Log: h.log, MaxPause: cfg.Server.MaxPause}
	if h.store != nil {
		made.ledger = h.store.Ledger(in.ID)
		host.State, host.Members = made.ledger, made.ledger
	}
	return made, host, h.tokens(&host, cfg, in, of.Definition)
}
