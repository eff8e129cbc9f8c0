package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/landfall-dev/landfall/framework/dispatch/budget"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/runtime/config"
	"github.com/landfall-dev/landfall/framework/runtime/instances"
	"github.com/landfall-dev/landfall/framework/state"
)

// instanceFlags is shared by the commands that work on one instance of a config. It holds their flags and, once opened, the state and the
// chosen instance.
type instanceFlags struct {
	streams
	target           target
	config, instance string
	data             string
	json             bool
	reads            bool // the command sends nothing and may show any ledger
	needsLedger      bool // the command works on the members that a ledger has
	stateOptional    bool // the command works without a state, and creates none
	cfg              *config.Config
	state            openedState
	store            *state.Store
	list             []instances.Instance // all of the config
	chosen           instances.Instance
	class            budget.Class // of the requests
}

func (c *instanceFlags) addFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&c.config, "config", configFile, "the config `FILE`")
	f.StringVar(&c.instance, "instance", "", "the `ID` of the instance in the config; optional if only one is possible")
	f.StringVar(&c.data, "data", "", dataUsage)
	f.BoolVar(&c.json, "json", false, "print JSON, one object per line")
}

// open loads the config, opens its state and chooses the instance: the one of --instance, or the only one for which has returns true. what
// describes these instances in the error.
func (c *instanceFlags) open(ctx context.Context, has func(instances.Instance) bool, what string) error {
	cfg, problems := config.Load(c.config, config.Env{})
	if cfg == nil || len(problems) > 0 {
		return problems.Err()
	}
	sandbox := c.target.SandboxName()
	if (c.reads && !c.target.Live || c.target.DryRun) && sandbox == "" && cfg.StateURL == "" {
		sandbox = instances.OnlySandbox(c.err, instances.DataDir(cfg, c.data), state.FileName, state.File("*"))
	}
	var err error
	if c.state, err = c.openState(ctx, cfg, sandbox); err != nil {
		return err
	}
	c.cfg, c.store = cfg, c.state.Store
	h := instances.Options{Target: &c.target.Target, Catalog: c.catalog(), Store: c.store, Data: c.data, Warn: c.warn}
	if !c.reads || !c.target.DryRun { // it may send requests
		ctx, h.Budgets = shareBudgets(ctx, c.streams, &c.target, cfg, c.data)
		c.class = budget.ClassOf(ctx)
	}
	list, err := instances.Load(cfg, nil, h)
	if err != nil {
		return err
	}
	c.list = list
	if err := c.target.reachSandbox(ctx, list); err != nil {
		return err
	}
	if err := c.choose(has, what); err != nil || c.reads {
		return err
	}
	c.warnConfig(cfg, c.chosen)
	if sandbox != c.target.SandboxName() {
		return nil
	}
	h.Use = instances.ClaimLedgers
	return h.UseLedgers(cfg, []instances.Instance{c.chosen})
}

// choose sets the instance that open describes.
func (c *instanceFlags) choose(has func(instances.Instance) bool, what string) error {
	var ids []string
	found := false
	for _, in := range c.list {
		if !has(in) {
			continue
		}
		ids = append(ids, in.Plan.ID())
		if c.instance == "" || c.instance == in.Plan.ID() {
			c.chosen, found = in, true
		}
	}
	switch {
	case len(ids) == 0:
		return fmt.Errorf("%s has no enabled instance of %s", c.config, what)
	case !found:
		return usageErrorf("there is no instance %q%s", c.instance, fault.DidYouMean(c.instance, ids))
	case c.instance == "" && len(ids) > 1:
		return usageErrorf("say which instance: --instance %s", strings.Join(ids, " or --instance "))
	}
	return nil
}

// openState opens the state of the config. Only a command that sends something creates one.
func (c *instanceFlags) openState(ctx context.Context, cfg *config.Config, sandbox string) (openedState, error) {
	open := instances.OpenState
	switch {
	case c.reads || c.needsLedger:
		open = instances.OpenExistingState
	case c.stateOptional || c.target.DryRun:
		return c.openStateOrEmpty(ctx, cfg, c.data, sandbox)
	}
	store, err := open(ctx, cfg, c.data, sandbox)
	return openedState{Store: store}, err
}

func (c *instanceFlags) close() {
	_ = instances.Close(context.Background(), c.list) // the plans log it
	c.state.close()
}
