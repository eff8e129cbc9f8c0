package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/landfall-dev/landfall/framework/runtime"
	"github.com/landfall-dev/landfall/framework/runtime/config"
	"github.com/landfall-dev/landfall/framework/runtime/instances"
)

func newAuth(s streams) *cobra.Command {
	cmd := &cobra.Command{Use: "auth", Short: "Manage the credentials of a config's instances"}
	cmd.AddCommand(newAuthLogin(s), newAuthStatus(s), newAuthLogout(s), newAuthTest(s), newAuthKey(s))
	return cmd
}

func newAuthTest(s streams) *cobra.Command {
	var path, data string
	var asJSON bool
	t := target{instances.Target{Live: true}}
	cmd := &cobra.Command{
		Use:   "test --config FILE",
		Short: "Ask the remotes whether the credentials are valid",
		Long: "Asks the remote of every enabled instance whether its settings and credentials are valid, and reports what is wrong.\n" +
			"It changes nothing at the remote.",
		Example: "  landfall auth test --config landfall.yaml",
		Args:    exactArgs(0, "the config with --config"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if path == "" {
				return usageErrorf("give a config with --config")
			}
			if t.Sandbox || t.SandboxURL != "" {
				t.Live = false
			}
			return testConfig(cmd.Context(), s, path, data, &t, asJSON)
		},
	}
	cmd.Flags().StringVar(&path, "config", "", "the config `FILE`")
	cmd.Flags().StringVar(&data, "data", "", dataUsage)
	cmd.Flags().BoolVar(&t.Sandbox, "sandbox", false, "test against the destination's sandbox in this process")
	cmd.Flags().StringVar(&t.SandboxURL, "sandbox-url", "", "test against a sandbox at this `URL`")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object per instance")
	return cmd
}

// testConfig tests the instances of a config. Instances that need a login use the token in the state.
func testConfig(ctx context.Context, s streams, path, data string, t *target, asJSON bool) error {
	cfg, problems := config.Load(path, config.Env{})
	h := instances.Options{Target: &t.Target, Catalog: s.catalog(), Data: data}
	if cfg != nil && cfg.StateKey != "" && !t.Sandbox {
		opened, err := s.openStateOrEmpty(ctx, cfg, data, t.SandboxName())
		if err != nil {
			return err
		}
		defer opened.close()
		h.Store = opened.Store
	}
	list, err := instances.Load(cfg, problems, h)
	if err != nil {
		return err
	}
	defer func() { _ = instances.Close(context.WithoutCancel(ctx), list) }() // the plans log it
	s.warnConfig(cfg, list...)
	return testAll(ctx, s, list, asJSON)
}

// testAll tests every instance. The command fails if one of the tests does.
func testAll(ctx context.Context, s streams, list []instances.Instance, asJSON bool) error {
	wrong := false
	for _, in := range list {
		err := in.Plan.Test(ctx)
		ok, message := err == nil || errors.Is(err, runtime.ErrNotTested), "the credentials are valid"
		wrong = wrong || !ok
		if err != nil {
			message = err.Error()
		}
		if asJSON {
			_ = json.NewEncoder(s.out).Encode(map[string]any{"instance": in.Plan.ID(), "ok": ok, "message": message})
			continue
		}
		fmt.Fprintf(s.out, "%s (%s): %s\n", in.Plan.ID(), in.Plan.Definition().Name, message)
	}
	if wrong {
		return reportedError{}
	}
	return nil
}
