package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/files/audiencesync"
)

type syncCommand struct {
	keeping
	id, name            string
	mirror, add, remove bool
	share               float64
	yes                 bool
}

func newSync(s streams) *cobra.Command {
	c := &syncCommand{keeping: keeping{choosing: choosing{streams: s}}}
	cmd := &cobra.Command{
		Use:   "sync [flags] FILE",
		Short: "Make an audience what a file of users says",
		Long: "Reads users from a file (- for standard input): CSV with a line of column names, or NDJSON, an object a line, in\n" +
			"UTF-8 unless --encoding is given, also compressed with gzip. The difference to the ledger is sent as entries and\n" +
			"exits. With --mirror, the default, users who are not in the file leave; with --add the users of the file enter, with\n" +
			"--remove they leave.\n\n" +
			"Rows that cannot be read are listed with their lines, and the exit code is then 1 unless --allow-refused is given. The\n" +
			"other rows are used, but a mirror removes no users then, unless --yes is given: they may be in one of those rows.",
		Example: "  landfall sync --live --config landfall.yaml --audience vip_gold users.csv\n" +
			"  landfall sync --dry-run --audience vip_gold --column external_id=customer_no users.csv\n" +
			"  landfall sync --live --audience vip_gold --encoding windows-1252 excel.csv\n" +
			"  landfall sync --live --audience aud_1 --name \"VIP Gold\" --remove --yes gone.ndjson",
		Args: exactly(1, "one file of users, or - for standard input"),
		RunE: func(cmd *cobra.Command, args []string) error { return c.run(cmd.Context(), args[0]) },
	}
	c.flags(cmd)
	c.fileFlags(cmd)
	c.allowFlag(cmd)
	c.target.flags(cmd)
	f := cmd.Flags()
	f.StringVar(&c.id, "audience", "", "the `ID` of the cohort (required)")
	f.StringVar(&c.name, "name", "", "the `NAME` of the cohort; by default the one it has, else its id")
	f.BoolVar(&c.mirror, "mirror", false, "who is not in the file leaves (the default)")
	f.BoolVar(&c.add, "add", false, "the users of the file enter, nobody leaves")
	f.BoolVar(&c.remove, "remove", false, "the users of the file leave")
	f.Float64Var(&c.share, "max-remove", 10, "the largest `PERCENT` of the members that may leave without --yes")
	f.BoolVar(&c.yes, "yes", false, "let any number of members leave, also if rows of the file cannot be read")
	cmd.MarkFlagsMutuallyExclusive("mirror", "add", "remove")
	return cmd
}

func (c *syncCommand) run(ctx context.Context, file string) error {
	switch err := c.target.check(); {
	case err != nil:
		return err
	case c.id == "":
		return misuse("say which cohort: --audience ID")
	case c.share < 0 || c.share > 100:
		return misuse("--max-remove should be a percentage from 0 to 100")
	}
	defer c.close()
	if err := c.open(ctx); err != nil {
		return err
	}
	a, err := c.audience(ctx, c.id)
	if err != nil { // a new one
		a = destination.Audience{ID: c.id, Name: c.id}
	}
	if c.name != "" {
		a.Name = c.name
	}
	rows, end, err := c.rows(file)
	if err != nil {
		return err
	}
	defer end()
	mode := audiencesync.Mirror
	switch {
	case c.add:
		mode = audiencesync.Add
	case c.remove:
		mode = audiencesync.Remove
	}
	share := c.share / 100
	c.removeAll = c.yes
	if c.yes {
		share = 1
	}
	return c.report(c.keeper().Sync(ctx, a, rows, mode, share))
}
