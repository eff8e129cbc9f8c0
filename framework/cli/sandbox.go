package cli

import (
	"errors"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/fault"
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
			"  POST /__sandbox/reset      delete everything\n\n" +
			"With --definitions it also has those of destinations without code, which follow their sandbox.yaml.",
		Example: "  landfall sandbox braze --listen 127.0.0.1:8900\n" +
			"  landfall sandbox acme --definitions destinations --refuse-item 0",
		Args: cobra.ArbitraryArgs, FParseErrWhitelist: cobra.FParseErrWhitelist{UnknownFlags: true}, // flags of a sandbox that does not exist
		RunE: func(cmd *cobra.Command, args []string) error { return chooseSandbox(cmd, s, args) },
	}
	for _, sb := range allSandboxes(slices.Concat(s.plugins, s.defined)) {
		options := map[string]*[]string{}
		sub := &cobra.Command{
			Use: sb.Name, Short: "Simulate the API of " + sb.Name, Args: exactArgs(0, "flags only"),
			Example: "  landfall sandbox " + sb.Name + " --listen 127.0.0.1:8900",
			RunE: func(cmd *cobra.Command, _ []string) error {
				values := map[string][]string{}
				for name, list := range options {
					values[name] = *list
				}
				if err := errors.Join(mistakesOfDefined(s.defined, sb), sb.Mistakes(values)); err != nil {
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

// chooseSandbox shows the help, or says why a sandbox does not exist.
func chooseSandbox(cmd *cobra.Command, s streams, args []string) error {
	if *s.definitions != "" {
		if _, err := destination.FromDirectory(*s.definitions); err != nil {
			return err
		}
	}
	if len(args) == 0 {
		return cmd.Help()
	}
	hint := fault.DidYouMean(args[0], commandNames(cmd))
	if *s.definitions == "" && hint == "" {
		hint = ": that of a destination without code needs --definitions DIR"
	}
	return usageErrorf("there is no sandbox %q%s", args[0], hint)
}

// definedSandboxes returns the destinations in the directory of --definitions if the arguments are those of landfall sandbox, whose
// subcommands depend on them. A directory that cannot be read has none: the command reports it.
func definedSandboxes(args []string) []destination.Plugin {
	if !slices.Contains(args, "sandbox") {
		return nil
	}
	for i, arg := range args {
		dir, ok := strings.CutPrefix(arg, "--definitions=")
		if arg == "--definitions" && i+1 < len(args) {
			dir, ok = args[i+1], true
		}
		if ok {
			plugins, _ := destination.FromDirectory(dir)
			return plugins
		}
	}
	return nil
}

// mistakesOfDefined returns the mistakes of the destination.yaml whose sandbox is to be served: no events could be sent to it.
func mistakesOfDefined(plugins []destination.Plugin, sb *destination.Sandbox) error {
	for _, p := range plugins {
		if p.Sandbox == sb {
			_, err := p.Load()
			return err
		}
	}
	return nil
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
