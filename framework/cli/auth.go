package cli

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/landfall-dev/landfall/framework/runtime/config"
)

func newAuth(s streams) *cobra.Command {
	cmd := &cobra.Command{Use: "auth", Short: "Manage the credentials of a config's instances"}
	cmd.AddCommand(newAuthLogin(s), newAuthStatus(s), newAuthLogout(s), newAuthTest(s), newAuthKey(s))
	return cmd
}

func newAuthTest(s streams) *cobra.Command {
	var path, data string
	var asJSON bool
	t := target{live: true}
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
			if t.sandbox || t.sandboxURL != "" {
				t.live = false
			}
			return testConfig(cmd.Context(), s, path, data, &t, asJSON)
		},
	}
	cmd.Flags().StringVar(&path, "config", "", "the config `FILE`")
	cmd.Flags().StringVar(&data, "data", "", dataUsage)
	cmd.Flags().BoolVar(&t.sandbox, "sandbox", false, "test against the destination's sandbox in this process")
	cmd.Flags().StringVar(&t.sandboxURL, "sandbox-url", "", "test against a sandbox at this `URL`")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object per instance")
	return cmd
}

// testConfig tests the instances of a config. Instances that need a login use the token in the state.
func testConfig(ctx context.Context, s streams, path, data string, t *target, asJSON bool) error {
	cfg, problems := config.Load(path, config.Env{})
	h := planHost{target: t, catalog: s.catalog()}
	if cfg != nil && cfg.StateKey != "" && !t.sandbox {
		store, err := openState(ctx, cfg, data, t.sandboxName())
		if err != nil {
			return err
		}
		defer store.Close()
		h.store = store
	}
	instances, err := loadPlans(cfg, problems, h)
	if err != nil {
		return err
	}
	return testAll(ctx, s, instances, asJSON)
}

// testAll tests every instance. The command fails if one of the tests does.
func testAll(ctx context.Context, s streams, instances []instance, asJSON bool) error {
	wrong := false
	for _, in := range instances {
		err := in.plan.Test(ctx)
		wrong = wrong || err != nil
		message := "the credentials are valid"
		switch {
		case err != nil:
			message = err.Error()
		case in.plugin.Test == nil:
			message = "not tested: this destination has no test of its credentials"
		}
		if asJSON {
			_ = json.NewEncoder(s.out).Encode(map[string]any{"instance": in.plan.ID(), "ok": err == nil, "message": message})
			continue
		}
		fmt.Fprintf(s.out, "%s (%s): %s\n", in.plan.ID(), in.plan.Definition().Name, message)
	}
	if wrong {
		return reportedError{}
	}
	return nil
}
