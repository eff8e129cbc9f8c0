package server

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/destination/httpx"
	"github.com/landfall-dev/landfall/framework/destination/oauth"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/runtime/config"
	"github.com/landfall-dev/landfall/framework/runtime/instances"
	"github.com/landfall-dev/landfall/framework/server/access"
	"github.com/landfall-dev/landfall/framework/server/console"
	"github.com/landfall-dev/landfall/framework/state"
)

// consoleHost gives the console access to the config, the plans and the state.
type consoleHost struct {
	path     string           // the config
	commands *config.Commands // whose outputs the config needs
	data     string           // the data directory, if it is not the config's
	catalog  instances.Catalog
	live     instances.Target // where events are delivered
	store    *state.Store
	host     *instances.Options // the server's, so that its sandboxes are used; nil without a server
	log      *slog.Logger
	guard    *access.Guard
}

func (p *consoleHost) consoleConfig() console.Config {
	return console.Config{
		Registry: p.loadRegistry, File: p.path, Commands: p.commands, BuildPlans: p.makePlans, Running: p.runningInstances, SandboxOnly: !p.live.Live, Logins: p.openLogins, SaveSecrets: p.saveSecrets, Guard: p.guard, Log: p.log,
	}
}

// loadRegistry returns the registry for the current config.
func (p *consoleHost) loadRegistry() (*destination.Registry, error) {
	cfg, _ := config.Load(p.path, config.Env{Commands: p.commands})
	return p.catalog.RegistryFor(cfg)
}

// makePlans returns the plans of a config for a target. Only plans for the real target use the state.
func (p *consoleHost) makePlans(cfg *config.Config, problems fault.Problems, to console.Target, observe func(httpx.Exchange)) ([]console.Instance, error) {
	h := instances.Options{Catalog: p.catalog, Data: p.data, Observe: observe, Log: p.log}
	if p.live.SandboxName() == "" {
		h.Secrets = p.store
	}
	switch {
	case to == console.DryRun:
		h.Target = &instances.Target{DryRun: true}
	case to == console.Sandbox:
		h.Target = &instances.Target{Sandbox: true}
	case p.host != nil:
		h = *p.host
		h.Observe, h.Use = observe, instances.CheckLedgers
	default:
		h.Target, h.Store, h.Use = &p.live, p.store, instances.CheckLedgers
	}
	if cfg == nil {
		return nil, p.explainMissing(problems)
	}
	made, err := instances.Load(cfg, problems, h)
	if err != nil {
		return nil, err
	}
	if err := instances.Close(context.Background(), made); err != nil { // nothing is open yet: from now on each call closes what it opens
		return nil, err
	}
	return consoleInstances(made), nil
}

// explainMissing returns the error for a config that cannot be used, with what to do.
func (p *consoleHost) explainMissing(problems fault.Problems) error {
	if IsMissing(p.path) {
		return fault.Problems{{File: p.path, Message: "the file does not exist yet: set up a destination to create it"}}
	}
	return problems.Err()
}

func consoleInstances(list []instances.Instance) []console.Instance {
	shown := make([]console.Instance, len(list))
	for i, in := range list {
		shown[i] = console.Instance{Plan: in.Plan, Plugin: in.Plugin, Ledger: in.Ledger, Warnings: in.Plan.Warnings()}
	}
	return shown
}

// runningInstances returns the instances of the config file. A server replaces it with the instances it runs.
func (p *consoleHost) runningInstances() ([]console.Instance, error) {
	if p.store == nil {
		return nil, nil
	}
	cfg, problems := config.Load(p.path, config.Env{Commands: p.commands})
	return p.makePlans(cfg, problems, console.Real, nil)
}

func (p *consoleHost) openLogins() (*oauth.Manager, error) {
	cfg, problems := config.Load(p.path, config.Env{Commands: p.commands})
	if cfg == nil {
		return nil, problems.Err()
	}
	if p.store == nil {
		return nil, fmt.Errorf("there is no state to keep tokens in: %s", instances.KeyHint)
	}
	return instances.OpenLoginManager(cfg, p.store)
}

// saveSecrets stores secrets in the state of the real destinations, encrypted with the key of cfg.
func (p *consoleHost) saveSecrets(ctx context.Context, cfg *config.Config, secrets map[string]string) error {
	store := p.store
	if store == nil || p.live.SandboxName() != "" {
		var err error
		if store, err = instances.OpenState(ctx, cfg, p.data, ""); err != nil {
			return err
		}
		defer store.Close()
	}
	for name, text := range secrets {
		if err := instances.WriteSecret(ctx, cfg, store, name, text); err != nil {
			return err
		}
	}
	return nil
}
