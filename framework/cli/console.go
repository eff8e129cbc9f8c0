package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/destination/httpx"
	"github.com/landfall-dev/landfall/framework/destination/oauth"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/runtime/config"
	"github.com/landfall-dev/landfall/framework/server/access"
	"github.com/landfall-dev/landfall/framework/server/console"
	"github.com/landfall-dev/landfall/framework/state"
)

const defaultConsole = "127.0.0.1:8081"

// consoleCommand implements landfall console, which serves the console without a queue.
type consoleCommand struct {
	streams
	target               target
	config, data, listen string
}

func newConsole(s streams) *cobra.Command {
	c := &consoleCommand{streams: s}
	cmd := &cobra.Command{
		Use:   "console",
		Short: "Serve the console, to set up destinations and test events, without a queue",
		Long: "Serves the console on this machine: the catalog of destinations, their setup, and a tester that runs one event through\n" +
			"the config. The config need not exist yet. landfall serve has the same console at /console/, which also shows its\n" +
			"deliveries, dead letters and cohorts.",
		Example: "  landfall console --config landfall.yaml\n  landfall console --sandbox",
		Args:    exactArgs(0, "flags only"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.run(cmd.Context(), cmd.Flags().Changed("listen"))
		},
	}
	f := cmd.Flags()
	f.StringVar(&c.config, "config", configFile, "the config `FILE`; the console creates it if it does not exist")
	f.StringVar(&c.data, "data", "", dataUsage)
	f.StringVar(&c.listen, "listen", defaultConsole, "the `ADDRESS` to listen on, or unix:PATH; an address that other machines can reach requires admin.key in the config")
	f.BoolVar(&c.target.sandbox, "sandbox", false, "send only to the destinations' sandboxes")
	f.StringVar(&c.target.sandboxURL, "sandbox-url", "", "send only to a sandbox at this `URL` (see landfall sandbox)")
	return cmd
}

func (c *consoleCommand) run(ctx context.Context, asked bool) error {
	c.target.live = !c.target.sandbox && c.target.sandboxURL == ""
	if err := c.target.check(); err != nil {
		return err
	}
	page := consoleHost{path: c.config, catalog: c.catalog(), live: c.target, log: newLog(c.streams, false)}
	cfg, _ := config.Load(c.config, config.Env{})
	if store, err := openExistingState(ctx, cfg, c.data, c.target.sandboxName()); err != nil {
		return err
	} else if store != nil {
		defer store.Close()
		page.store = store
	}
	key := &fileKey{path: c.config, locked: newToken()}
	listener, err := c.openListener(asked, key.readKey() != "")
	if err != nil {
		return err
	}
	page.guard = access.NewGuard(access.Config{Key: key.readKey, AllowLocal: isPrivate(listener.Addr()), Proxies: key.trustedProxies, Log: page.log})
	served, err := console.New(page.consoleConfig())
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	defer served.Close()
	mux := http.NewServeMux()
	mux.Handle(console.Path, served.Handler())
	mux.Handle("GET /{$}", http.RedirectHandler(console.Path, http.StatusSeeOther))
	return serveOn(ctx, c.streams, "console", listener, mux)
}

// openListener listens on the given address. If none was given and the default one is in use, it listens on a free port.
func (c *consoleCommand) openListener(asked, hasKey bool) (net.Listener, error) {
	if problem := config.CheckAdminListen(c.listen, hasKey); problem != "" || c.listen == config.AdminOnIngest {
		return nil, usageErrorf("--listen %s %s", c.listen, cmp.Or(problem, "is for a server: give an address"))
	}
	listener, err := listenAt(c.listen)
	if !asked && errors.Is(err, syscall.EADDRINUSE) {
		listener, err = net.Listen("tcp", "127.0.0.1:0")
	}
	if err != nil {
		return nil, fmt.Errorf("cannot listen: %w: give another address with --listen", err)
	}
	return listener, nil
}

// fileKey reads the admin key of a config file, which may change at any time. If the file cannot be read or its key cannot be resolved,
// the last key stays valid. If there was no key before, no key is valid.
type fileKey struct {
	path   string
	locked string // a random key, used if no key could be read
	mu     sync.Mutex
	last   string
}

// readKey returns the current key, or "" if the file sets none.
func (k *fileKey) readKey() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	cfg, _ := config.Load(k.path, config.Env{})
	switch {
	case cfg == nil && k.last == "" && isMissing(k.path):
		return ""
	case cfg == nil || cfg.Server.HasAdminKey && cfg.Server.AdminKey == "":
		return cmp.Or(k.last, k.locked)
	}
	k.last = cfg.Server.AdminKey
	return k.last
}

// trustedProxies returns the trusted proxies that the file currently sets.
func (k *fileKey) trustedProxies() access.Proxies {
	cfg, _ := config.Load(k.path, config.Env{})
	if cfg == nil {
		return nil
	}
	return cfg.Server.TrustedProxies
}

func isMissing(path string) bool {
	_, err := os.Stat(path)
	return errors.Is(err, fs.ErrNotExist)
}

// openExistingState opens the state of a config. It returns nil if the state does not exist yet and the config has no key for tokens.
func openExistingState(ctx context.Context, cfg *config.Config, data, sandbox string) (*state.Store, error) {
	if cfg == nil {
		return nil, nil
	}
	if cfg.StateURL == "" {
		if _, err := os.Stat(filepath.Join(dataDir(cfg, data), state.File(sandbox))); err != nil && cfg.StateKey == "" {
			return nil, nil
		}
	}
	return openState(ctx, cfg, data, sandbox)
}

// consoleHost gives the console access to the config, the plans and the state.
type consoleHost struct {
	path    string // the config
	catalog catalog
	live    target // where events are delivered
	store   *state.Store
	host    *planHost // the server's, so that its sandboxes are used; nil without a server
	log     *slog.Logger
	guard   *access.Guard
}

func (p *consoleHost) consoleConfig() console.Config {
	return console.Config{
		Registry: p.loadRegistry, File: p.path, BuildPlans: p.makePlans, Running: p.runningInstances, SandboxOnly: !p.live.live, Logins: p.openLogins, Guard: p.guard, Log: p.log,
	}
}

// loadRegistry returns the registry for the current config.
func (p *consoleHost) loadRegistry() (*destination.Registry, error) {
	cfg, _ := config.Load(p.path, config.Env{})
	return p.catalog.registryFor(cfg)
}

// makePlans returns the plans of a config for a target. Only plans for the real target use the state.
func (p *consoleHost) makePlans(cfg *config.Config, problems fault.Problems, to console.Target, observe func(httpx.Exchange)) ([]console.Instance, error) {
	h := planHost{catalog: p.catalog, observe: observe, log: p.log}
	switch {
	case to == console.DryRun:
		h.target = &target{dryRun: true}
	case to == console.Sandbox:
		h.target = &target{sandbox: true}
	case p.host != nil:
		h = *p.host
		h.observe, h.use = observe, checkLedgers
	default:
		h.target, h.store, h.use = &p.live, p.store, checkLedgers
	}
	if cfg == nil {
		return nil, p.explainMissing(problems)
	}
	made, err := loadPlans(cfg, problems, h)
	if err != nil {
		return nil, err
	}
	return consoleInstances(made), nil
}

// explainMissing returns the error for a config that cannot be used, with what to do.
func (p *consoleHost) explainMissing(problems fault.Problems) error {
	if _, err := os.Stat(p.path); errors.Is(err, fs.ErrNotExist) {
		return fault.Problems{{File: p.path, Message: "the file does not exist yet: set up a destination to create it"}}
	}
	return problems.Err()
}

func consoleInstances(list []instance) []console.Instance {
	instances := make([]console.Instance, len(list))
	for i, in := range list {
		instances[i] = console.Instance{Plan: in.plan, Plugin: in.plugin, Ledger: in.ledger, Warnings: in.plan.Warnings()}
	}
	return instances
}

// runningInstances returns the instances of the config file. A server replaces it with the instances it runs.
func (p *consoleHost) runningInstances() ([]console.Instance, error) {
	if p.store == nil {
		return nil, nil
	}
	cfg, problems := config.Load(p.path, config.Env{})
	return p.makePlans(cfg, problems, console.Real, nil)
}

func (p *consoleHost) openLogins() (*oauth.Manager, error) {
	cfg, problems := config.Load(p.path, config.Env{})
	if cfg == nil {
		return nil, problems.Err()
	}
	if p.store == nil {
		return nil, fmt.Errorf("there is no state to keep tokens in: %s", keyHint)
	}
	return openLoginManager(cfg, p.store)
}
