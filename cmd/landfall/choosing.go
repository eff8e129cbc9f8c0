package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/runtime/config"
	"github.com/landfall-dev/landfall/framework/state"
)

// choosing is what commands on one instance of a config share.
type choosing struct {
	streams
	target           target
	config, instance string
	data             string
	json             bool
	reads            bool // nothing is sent, and any ledger may be shown
	store            *state.Store
	chosen           instance
}

func (c *choosing) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&c.config, "config", configFile, "the config `FILE`")
	f.StringVar(&c.instance, "instance", "", "the `ID` of the instance in the config; not needed where there is one only")
	f.StringVar(&c.data, "data", "", dataUsage)
	f.BoolVar(&c.json, "json", false, "print JSON for programs, an object a line")
}

// open loads the config and its state, and chooses the instance among those that have what the command works on.
func (c *choosing) open(ctx context.Context, has func(instance) bool, what string) error {
	cfg, problems := config.Load(c.config, config.Env{})
	if cfg == nil || len(problems) > 0 {
		return problems.Err()
	}
	sandbox := c.target.sandboxName()
	if (c.reads || c.target.dryRun) && sandbox == "" && cfg.StateURL == "" {
		sandbox = onlySandbox(c.err, dataDir(cfg, c.data), state.FileName, state.File("*"))
	}
	store, err := openState(ctx, cfg, c.data, sandbox)
	if err != nil {
		return err
	}
	c.store = store
	h := hosting{target: &c.target, definitions: *c.definitions, plugins: c.plugins, store: store, warn: c.warn}
	instances, err := loadPlans(cfg, nil, h)
	if err != nil {
		return err
	}
	var ids []string
	found := false
	for _, in := range instances {
		if !has(in) {
			continue
		}
		ids = append(ids, in.plan.ID())
		if c.instance == "" || c.instance == in.plan.ID() {
			c.chosen, found = in, true
		}
	}
	switch {
	case len(ids) == 0:
		return fmt.Errorf("%s has no enabled instance of %s", c.config, what)
	case !found:
		return misuse("there is no instance %q%s", c.instance, fault.DidYouMean(c.instance, ids))
	case c.instance == "" && len(ids) > 1:
		return misuse("say which instance: --instance %s", strings.Join(ids, " or --instance "))
	case !c.reads && sandbox == c.target.sandboxName():
		h.use = claimLedgers
		return h.useLedgers(cfg, []instance{c.chosen})
	}
	return nil
}

func (c *choosing) close() {
	if c.store != nil {
		_ = c.store.Close()
	}
}

func (c *choosing) print(v any) { _ = json.NewEncoder(c.out).Encode(v) }
