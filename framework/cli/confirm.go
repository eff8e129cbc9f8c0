package cli

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
)

// confirmation asks before a command changes something that cannot be undone.
type confirmation struct {
	to          streams
	yes, dryRun bool
}

func (c *confirmation) addConfirmFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.BoolVar(&c.yes, "yes", false, "do not ask for confirmation")
	f.BoolVar(&c.dryRun, "dry-run", false, "only show what would be done")
}

// confirm reports whether the command may do what todo says: with --yes, or if the person at the terminal agrees.
func (c *confirmation) confirm(todo string) (bool, error) {
	switch {
	case c.dryRun:
		fmt.Fprintf(c.to.out, "dry run: %s\n", todo)
		return false, nil
	case c.yes:
		return true, nil
	}
	unasked := usageErrorf("%s: give --yes to do this, or --dry-run to see what would be done", todo)
	if in, ok := c.to.in.(*os.File); !ok || !isTerminal(in) {
		return false, unasked
	}
	fmt.Fprintf(c.to.err, "%s. Continue? [y/N] ", todo)
	line, err := bufio.NewReader(c.to.in).ReadString('\n')
	if err != nil && line == "" { // /dev/null is a character device, too
		return false, unasked
	}
	if answer := strings.ToLower(strings.TrimSpace(line)); answer != "y" && answer != "yes" {
		return false, errors.New("canceled: nothing was changed")
	}
	return true, nil
}
