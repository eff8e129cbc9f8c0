package cli

import (
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/files/s3file"
	"github.com/landfall-dev/landfall/framework/runtime/instances"
)

// configFile is the default name of the config.
const configFile = "landfall.yaml"

// target is where the requests of a command are sent.
type target struct{ instances.Target }

// addTargetFlags defines the flags that choose the target. does is what the command does there.
func (t *target) addTargetFlags(cmd *cobra.Command, does string) {
	t.addSandboxFlags(cmd, does)
	cmd.Flags().BoolVar(&t.Live, "live", false, does+" the real endpoint")
}

// addSandboxFlags defines the flags that choose a sandbox. does is what the command does there.
func (t *target) addSandboxFlags(cmd *cobra.Command, does string) {
	f := cmd.Flags()
	f.BoolVar(&t.Sandbox, "sandbox", false, does+" the destination's sandbox in this process")
	f.StringVar(&t.SandboxURL, "sandbox-url", "", does+" a sandbox at this `URL` (see landfall sandbox)")
}

func (t *target) addFlags(cmd *cobra.Command) {
	t.addTargetFlags(cmd, "send to")
	cmd.Flags().BoolVar(&t.DryRun, "dry-run", false, "show the requests and send none")
}

// check returns an error unless exactly one target is chosen. A dry run needs no target and overrides it.
func (t *target) check() error {
	n := 0
	for _, set := range []bool{t.Sandbox, t.SandboxURL != "", t.Live} {
		if set {
			n++
		}
	}
	switch {
	case n > 1:
		return usageErrorf("give one of --sandbox, --sandbox-url and --live")
	case n == 0 && !t.DryRun:
		return usageErrorf("say where to send: --sandbox, --sandbox-url URL or --live; or --dry-run to send nothing")
	}
	return nil
}

// findConfig returns the config to use: the given one, otherwise the one beside a file of events. Beside standard input (-) and an object of S3, that is
// the one in the current directory.
func findConfig(given, beside string) (string, error) {
	if given != "" {
		return given, nil
	}
	if s3file.IsURL(beside) {
		beside = "-"
	}
	path := filepath.Join(filepath.Dir(beside), configFile)
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	if beside == "-" {
		return "", usageErrorf("there is no %s in this directory: give one with --config", configFile)
	}
	if _, err := os.Stat(beside); err != nil {
		return "", fault.File(err)
	}
	return "", usageErrorf("there is no %s beside %s: give one with --config", configFile, beside)
}
