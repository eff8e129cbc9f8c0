package cli

import (
	"fmt"

	"github.com/spf13/cobra"
)

// refusals decides the exit code of a command that delivers.
type refusals struct {
	allow bool // exit with 0 even if something was refused
}

// addFlag adds --allow-refused. what names the things that may be refused.
func (r *refusals) addFlag(cmd *cobra.Command, what string) {
	cmd.Flags().BoolVar(&r.allow, "allow-refused", false, "exit with 0 even if "+what+" are refused")
}

// exitError returns reportedError if something failed, or was refused without --allow-refused. If refusals are the only cause, it calls
// say with an explanation of the exit code. say may be nil.
func (r *refusals) exitError(failures, refused int, say func(string)) error {
	switch {
	case failures > 0:
		return reportedError{}
	case refused == 0 || r.allow:
		return nil
	case say != nil:
		say(fmt.Sprintf("%d refused, so the exit code is 1; --allow-refused makes it 0", refused))
	}
	return reportedError{}
}
