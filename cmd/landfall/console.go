package main

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

// consoleCommand serves the console without a queue.
type consoleCommand struct {
	streams
	target               target
	config, data, listen string
}

func newConsole(s streams) *cobra.Command {
	c := &consoleCommand{streams: s}
	cmd := &cobra.Command{
		Use:   "console",
		Short: "Serve the page to set destinations up and try events, without a queue",
		Long: "Serves a web page on this machine: the catalogue of destinations, setting them up, and a tester that takes one event\n" +
			"through the config. The config need not be there yet. landfall serve has the same page at /console/, with its\n" +
			"deliveries, dead letters and cohorts.",
		Example: "  landfall console --config landfall.yaml\n  landfall console --sandbox",
		Args:    exactly(0, "flags only"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.run(cmd.Context(), cmd.Flags().Changed("listen"))
		},
	}
	f := cmd.Flags()
	f.StringVar(&c.config, "config", configFile, "the config `FILE`; it is made where there is none")
	f.StringVar(&c.data, "data", "", dataUsage)
	f.StringVar(&c.listen, "listen", defaultConsole, "the `ADDRESS` to listen on, or unix:PATH; one that other machines reach needs admin.key in the config")
	f.BoolVar(&c.target.sandbox, "sandbox", false, "send to nothing but the destinations' sandboxes")
	f.StringVar(&c.target.sandboxURL, "sandbox-url", "", "send to nothing but a sandbox at this `URL` (see landfall sandbox)")
	return cmd
}

func (c *consoleCommand) run(ctx context.Context, asked bool) error {
	c.target.live = !c.target.sandbox && c.target.sandboxURL == ""
	if err := c.target.check(); err != nil {
		return err
	}
	page := pages{path: c.config, live: c.target, log: newLog(c.streams, false)}
	cfg, _ := config.Load(c.config, config.Env{})
	if store, err := openKept(ctx, cfg, c.data, c.target.sandboxName()); err != nil {
		return err
	} else if store != nil {
		defer store.Close()
		page.store = store
	}
	key := &fileKey{path: c.config, locked: newToken()}
	listener, err := c.openListener(asked, key.read() != "")
	if err != nil {
		return err
	}
	page.guard = access.NewGuard(access.Config{Key: key.read, AllowLocal: isPrivate(listener.Addr()), Proxies: key.proxies, Log: page.log})
	served, err := console.New(page.settings())
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	defer served.Close()
	mux := http.NewServeMux()
	mux.Handle(console.Path, served.Handler())
	mux.Handle("GET /{$}", http.RedirectHandler(console.Path, http.StatusSeeOther))
	return serveOn(ctx, c.streams, "console", listener, mux)
}

// openListener listens where it was asked to; if it was not, and the default is busy, at a free port.
func (c *consoleCommand) openListener(asked, hasKey bool) (net.Listener, error) {
	if problem := config.CheckAdminListen(c.listen, hasKey); problem != "" || c.listen == config.AdminOnIngest {
		return nil, misuse("--listen %s %s", c.listen, cmp.Or(problem, "is for a server: give an address"))
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

// fileKey is the admin key of a config file that may change at any time. A file that cannot be read, or whose key cannot be
// resolved, opens nothing: the key that was read last stays, and without one nobody gets in.
type fileKey struct {
	path   string
	locked string // in place of a key that was never read
	mu     sync.Mutex
	last   string
}

// read returns the key as it is now, "" if the file sets none.
func (k *fileKey) read() string {
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

// proxies returns the trusted proxies of the file as it is now.
func (k *fileKey) proxies() access.Proxies {
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

// openKept opens the state of a config where there is one already; nil where nothing was kept yet.
func openKept(ctx context.Context, cfg *config.Config, data, sandbox string) (*state.Store, error) {
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

// pages is what a console gets from the program.
type pages struct {
	path        string // of the config
	definitions string // the directory of --definitions
	live        target // where deliveries go
	store       *state.Store
	host        *hosting // of a server, whose sandboxes count; nil where there is none
	log         *slog.Logger
	guard       *access.Guard
}

func (p *pages) settings() console.Config {
	return console.Config{
		Registry: p.registry, File: p.path, BuildPlans: p.make, Running: p.running, SandboxOnly: !p.live.live, Logins: p.logins, Guard: p.guard, Log: p.log,
	}
}

// registry is that of the config as it is now.
func (p *pages) registry() (*destination.Registry, error) {
	cfg, _ := config.Load(p.path, config.Env{})
	return registryFor(p.definitions, cfg)
}

// make makes plans. Those that deliver use what is kept; others nothing.
func (p *pages) make(cfg *config.Config, problems fault.Problems, to console.Target, observe func(httpx.Exchange)) ([]console.Instance, error) {
	h := hosting{definitions: p.definitions, observe: observe, log: p.log}
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
		return nil, p.explained(problems)
	}
	made, err := loadPlans(cfg, problems, h)
	if err != nil {
		return nil, err
	}
	return shown(made), nil
}

// explained is why there is no config, with what to do.
func (p *pages) explained(problems fault.Problems) error {
	if _, err := os.Stat(p.path); errors.Is(err, fs.ErrNotExist) {
		return fault.Problems{{File: p.path, Message: "there is no such file yet: set a destination up, and it is made"}}
	}
	return problems.Err()
}

func shown(list []instance) []console.Instance {
	instances := make([]console.Instance, len(list))
	for i, in := range list {
		instances[i] = console.Instance{Plan: in.plan, Plugin: in.plugin, Ledger: in.ledger, Warnings: in.plan.Warnings()}
	}
	return instances
}

// running are the instances of the file, where no server has others.
func (p *pages) running() ([]console.Instance, error) {
	if p.store == nil {
		return nil, nil
	}
	cfg, problems := config.Load(p.path, config.Env{})
	return p.make(cfg, problems, console.Real, nil)
}

func (p *pages) logins() (*oauth.Manager, error) {
	cfg, problems := config.Load(p.path, config.Env{})
	if cfg == nil {
		return nil, problems.Err()
	}
	if p.store == nil {
		return nil, fmt.Errorf("nothing is kept here: %s", keyHint)
	}
	return openKeeper(cfg, p.store)
}
