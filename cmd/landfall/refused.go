package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

// refusals decides the exit code of a command that delivers.
type refusals struct {
	allow bool // exit with 0 even if something was refused
}

// flag adds --allow-refused; what says which things may be refused.
func (r *refusals) flag(cmd *cobra.Command, what string) {
	cmd.Flags().BoolVar(&r.allow, "allow-refused", false, "exit with 0 even if "+what+" are refused")
}

// verdict returns failed if something failed, or was refused and --allow-refused is not given. It tells say why the exit code is 1
// if only refusals are the cause; say may be nil.
func (r *refusals) verdict(failures, refused int, say func(string)) error {
	switch {
	case failures > 0:
		return failed{}
	case refused == 0 || r.allow:
		return nil
	case say != nil:
		say(fmt.Sprintf("%d refused, so the exit code is 1; --allow-refused makes it 0", refused))
	}
	return failed{}
}
