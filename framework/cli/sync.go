package cli

import (
	"context"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/files/audiencesync"
	"github.com/landfall-dev/landfall/framework/server/history"
)

type syncCommand struct {
	audienceCommand
	id, name            string
	mirror, add, remove bool
	share               float64
	yes                 bool
	properties          []string
}

// The texts of landfall sync --help.
const (
	syncHelp = "Makes an audience match a list of users: it compares the list with the ledger, and sends the difference as entries and\n" +
		"exits. With --mirror, the default, users who are not in the list leave the audience. With --add, the users of the list\n" +
		"enter it. With --remove, they leave it.\n\n" +
		"The list is read from files, folders of files, or standard input (-): CSV with a header, or NDJSON with one object per\n" +
		"line, in UTF-8 unless --encoding is given, optionally compressed with gzip or zstd, or Parquet, which cannot be read from\n" +
		"standard input. Several files are one list, and each has its own header. Files can be in S3 or a server of that kind:\n" +
		"s3://BUCKET/KEY, s3://BUCKET/FOLDER/ or a pattern, with AWS_ENDPOINT_URL, AWS_REGION, AWS_ACCESS_KEY_ID and\n" +
		"AWS_SECRET_ACCESS_KEY in the environment.\n\n" +
		"Rows that cannot be read are listed with their line numbers, and the exit code is then 1 unless --allow-refused is given.\n" +
		"The other rows are used. A mirror then removes no users unless --yes is given, since they may be in one of these rows.\n\n" +
		"With --from, the users are the rows of a query, which runs read-only. Its columns are named as those of a file. Nothing is\n" +
		"sent before the whole result was read, and nothing if the types of its columns have changed since the last run.\n\n" +
		"With --properties, the other columns of a user who enters or leaves are properties of the change, for destinations that\n" +
		"send more than an identifier, such as an e-mail address: the mapping of the audience's subscription, or its defaults,\n" +
		"reads them as it reads those of an event, such as {\"@path\": \"$.properties.email\"}."
	syncExamples = "  landfall sync --live --config landfall.yaml --audience vip_gold users.csv\n" +
		"  landfall sync --dry-run --audience vip_gold --column external_id=customer_no users.csv\n" +
		"  landfall sync --live --audience vip_gold --encoding windows-1252 excel.csv\n" +
		"  landfall sync --live --audience vip_gold exports/\n" +
		"  landfall sync --live --audience vip_gold --audience-column segment all-segments.csv\n" +
		"  landfall sync --live --audience vip_gold 'exports/part-*.csv.zst'\n" +
		"  landfall sync --live --audience vip_gold 's3://exports/vips/part-*.parquet'\n" +
		"  landfall sync --live --audience aud_1 --name \"VIP Gold\" --remove --yes gone.ndjson\n" +
		"  landfall sync --live --audience vip_gold --from '${WAREHOUSE_URL}' --query 'SELECT id AS external_id FROM vips'\n" +
		"  landfall sync --live --audience vip_gold --properties=email,phone users.parquet\n" +
		"  landfall sync --dry-run --audience vip_gold --from sqlite:shop.db --query-file vips.sql"
)

func newSync(s streams) *cobra.Command {
	c := &syncCommand{audienceCommand: audienceCommand{instanceFlags: instanceFlags{streams: s}}}
	cmd := &cobra.Command{
		Use:   "sync [flags] {FILE... | --from URL --query SQL}",
		Short: "Make an audience match files or a query of users",
		Long:  syncHelp, Example: syncExamples,
		Args: func(cmd *cobra.Command, args []string) error {
			return c.query.checkArgs(cmd, args, minOneArg("files of users, - for standard input, or --from and --query"))
		},
		RunE: func(cmd *cobra.Command, args []string) error { return c.run(cmd.Context(), args) },
	}
	c.addFlags(cmd)
	c.addFileFlags(cmd)
	c.addAllowFlag(cmd)
	c.target.addFlags(cmd)
	c.addSyncFlags(cmd)
	return cmd
}

func (c *syncCommand) addSyncFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&c.id, "audience", "", "the `ID` of the audience (required)")
	f.StringVar(&c.name, "name", "", "the `NAME` of the audience; by default its name in the ledger, otherwise its id")
	f.BoolVar(&c.mirror, "mirror", false, "users who are not in the file leave the audience (the default)")
	f.BoolVar(&c.add, "add", false, "the users of the file enter the audience, and no user leaves it")
	f.BoolVar(&c.remove, "remove", false, "the users of the file leave the audience")
	f.Float64Var(&c.share, "max-remove", 10, "the largest `PERCENT` of the members that may leave without --yes")
	f.BoolVar(&c.yes, "yes", false, "let any number of members leave, even if rows of the file cannot be read")
	f.StringSliceVar(&c.properties, "properties", nil, "send the other `COLUMNS` as properties of the change: all, or those of --properties=COLUMN,COLUMN")
	f.Lookup("properties").NoOptDefVal = allColumns
	cmd.MarkFlagsMutuallyExclusive("mirror", "add", "remove")
}

func (c *syncCommand) run(ctx context.Context, files []string) error {
	switch err := c.target.check(); {
	case err != nil:
		return err
	case c.id == "":
		return usageErrorf("say which audience: --audience ID")
	case c.share < 0 || c.share > 100:
		return usageErrorf("--max-remove should be a percentage from 0 to 100")
	}
	var err error
	if c.sent, err = propertiesOf(c.properties, files); err != nil {
		return err
	}
	defer c.close()
	if err := c.open(ctx); err != nil {
		return err
	}
	a, err := c.findAudience(ctx, c.id)
	if err != nil { // a new audience
		a = destination.Audience{ID: c.id, Name: c.id}
	}
	if c.name != "" {
		a.Name = c.name
	}
	ctx, err = c.holdAudience(ctx, "landfall sync", a)
	if err != nil {
		return err
	}
	defer c.releaseAudience(ctx, nil, nil)
	rows, end, err := c.openRows(ctx, a.ID, files...)
	if err != nil {
		return err
	}
	defer end()
	share := c.share / 100
	c.removeAll = c.yes
	if c.yes {
		share = 1
	}
	return c.recordAction(ctx, history.ActionSync, a, func() (audiencesync.Report, error) { return c.newSyncer().Sync(ctx, a, rows, c.mode(), share) })
}

// allColumns stands for all columns as properties.
const allColumns = "*"

// propertiesOf returns the columns that --properties names. The error is that of a column which was taken for a file, as in --properties COLUMN.
func propertiesOf(names, files []string) (audiencesync.Properties, error) {
	if !slices.Contains(names, allColumns) {
		return audiencesync.Properties{Names: names}, nil
	}
	for _, file := range files {
		if _, err := os.Stat(file); file != "-" && err != nil && !strings.ContainsAny(file, "./*") {
			return audiencesync.Properties{}, usageErrorf("there is no file %s: if it is a column, write --properties=%s", file, file)
		}
	}
	return audiencesync.Properties{All: true}, nil
}

// mode returns how the file changes the audience.
func (c *syncCommand) mode() audiencesync.Mode {
	switch {
	case c.add:
		return audiencesync.Add
	case c.remove:
		return audiencesync.Remove
	}
	return audiencesync.Mirror
}
