package cli

import (
	"github.com/spf13/cobra"

	"github.com/landfall-dev/landfall/framework/destination"
)

func newSandbox(s streams) *cobra.Command {
	var listen string
	cmd := &cobra.Command{
		Use:   "sandbox",
		Short: "Simulate the API of a destination",
		Long: "Serves the documented behavior of an API on this machine, so that you need no account. Every sandbox also answers\n" +
			"  GET  /__sandbox/state      its content\n" +
			"  GET  /__sandbox/requests   the requests it received\n" +
			"  POST /__sandbox/faults     {\"path\", \"times\", \"status\", \"delay_ms\", \"drop\"}: make the next requests fail\n" +
			"  POST /__sandbox/reset      delete everything",
	}
	for _, sb := range allSandboxes(s.plugins) {
		options := map[string]*[]string{}
		sub := &cobra.Command{
			Use: sb.Name, Short: "Simulate the API of " + sb.Name, Args: exactArgs(0, "flags only"),
			Example: "  landfall sandbox " + sb.Name + " --listen 127.0.0.1:8900",
			RunE: func(cmd *cobra.Command, _ []string) error {
				values := map[string][]string{}
				for name, list := range options {
					values[name] = *list
				}
				if err := sb.Mistakes(values); err != nil {
					return err
				}
				return serveHTTP(cmd.Context(), s, "sandbox", listen, sb.New(values))
			},
		}
		sub.Flags().StringVar(&listen, "listen", "127.0.0.1:8900", "the `ADDRESS` to listen on")
		for _, o := range sb.Options {
			options[o.Name] = sub.Flags().StringSlice(o.Name, nil, o.Usage)
		}
		cmd.AddCommand(sub)
	}
	return cmd
}

// allSandboxes returns the sandboxes of plugins, each once.
func allSandboxes(plugins []destination.Plugin) []*destination.Sandbox {
	var list []*destination.Sandbox
	seen := map[string]bool{}
	for _, p := range plugins {
		if p.Sandbox != nil && !seen[p.Sandbox.Name] {
			seen[p.Sandbox.Name] = true
			list = append(list, p.Sandbox)
		}
	}
	return list
}
