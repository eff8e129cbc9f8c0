package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/landfall-dev/landfall/framework/server"
)

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
			"deliveries, dead letters and audiences.",
		Example: "  landfall console --config landfall.yaml\n  landfall console --sandbox",
		Args:    exactArgs(0, "flags only"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !cmd.Flags().Changed("listen") {
				c.listen = "" // the default, or a free port
			}
			return c.run(cmd.Context())
		},
	}
	f := cmd.Flags()
	f.StringVar(&c.config, "config", configFile, "the config `FILE`; the console creates it if it does not exist")
	f.StringVar(&c.data, "data", "", dataUsage)
	f.StringVar(&c.listen, "listen", server.DefaultAdmin, "the `ADDRESS` to listen on, or unix:PATH; an address that other machines can reach requires admin.key in the config")
	f.BoolVar(&c.target.Sandbox, "sandbox", false, "send only to the destinations' sandboxes")
	f.StringVar(&c.target.SandboxURL, "sandbox-url", "", "send only to a sandbox at this `URL` (see landfall sandbox)")
	return cmd
}

func (c *consoleCommand) run(ctx context.Context) error {
	c.target.Live = !c.target.Sandbox && c.target.SandboxURL == ""
	if err := c.target.check(); err != nil {
		return err
	}
	o := server.ConsoleOptions{Config: c.config, Data: c.data, Listen: c.listen, Target: c.target.Target, Catalog: c.catalog(), Log: newLog(c.streams, false)}
	return server.RunConsole(ctx, o, func(at string) { fmt.Fprintf(c.out, "console listening on %s\n", at) })
}
