package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
)

// confirmation asks before something is changed for good.
type confirmation struct {
	to          streams
	yes, dryRun bool
}

func (c *confirmation) askFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.BoolVar(&c.yes, "yes", false, "do it without asking")
	f.BoolVar(&c.dryRun, "dry-run", false, "show what would be done, and do nothing")
}

// confirm says what is going to be done and reports whether it may be: --yes or a person at the terminal says so.
func (c *confirmation) confirm(todo string) (bool, error) {
	switch {
	case c.dryRun:
		fmt.Fprintf(c.to.out, "dry run: %s\n", todo)
		return false, nil
	case c.yes:
		return true, nil
	}
	unasked := misuse("%s: give --yes to do it, or --dry-run to see what would be done", todo)
	if in, ok := c.to.in.(*os.File); !ok || !isTerminal(in) {
		return false, unasked
	}
	fmt.Fprintf(c.to.err, "%s. Go on? [y/N] ", todo)
	line, err := bufio.NewReader(c.to.in).ReadString('\n')
	if err != nil && line == "" { // /dev/null looks like a terminal
		return false, unasked
	}
	if answer := strings.ToLower(strings.TrimSpace(line)); answer != "y" && answer != "yes" {
		return false, errors.New("nothing was done")
	}
	return true, nil
}
