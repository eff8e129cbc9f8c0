package cli

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/files/audiencesync"
	"github.com/landfall-dev/landfall/framework/files/sqlsource"
	"github.com/landfall-dev/landfall/framework/runtime/config"
)

// querySource holds the flags of a query of users.
type querySource struct {
	from, query, file string
	timeout           time.Duration
	prepared          sqlsource.Options // the query to run, read once, as its file may be a pipe
}

func (q *querySource) addFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&q.from, "from", "", "the `URL` of a database to query instead of a file: postgres://, redshift://, mysql://, clickhouse://, bigquery://, snowflake:// or sqlite:PATH; also ${VARIABLE}, file:PATH or credential:NAME with the URL")
	f.StringVar(&q.query, "query", "", "the `SQL` of the query of users, whose columns are named as those of a file")
	f.StringVar(&q.file, "query-file", "", "the `FILE` with the query")
	f.DurationVar(&q.timeout, "query-timeout", sqlsource.DefaultTimeout, "the longest `TIME` that the query may take, including the reading of its rows")
	cmd.MarkFlagsMutuallyExclusive("query", "query-file")
}

// fromRemote is the value of --from for the members that the remote has.
const fromRemote = "remote"

// isRemote reports whether the users come from the remote.
func (q *querySource) isRemote() bool { return q.from == fromRemote }

// prepare reads the query, and finds mistakes in the flags before anything is opened. asksRemote is set if the command can ask the remote.
func (q *querySource) prepare(asksRemote bool) error {
	near := fault.DidYouMean(strings.ToLower(q.from), []string{fromRemote})
	switch {
	case !q.isUsed(), q.isRemote() && asksRemote:
		return nil
	case q.isRemote():
		return usageErrorf("--from remote is only for members diff and members resync: give the URL of a database")
	case asksRemote && near != "":
		return usageErrorf("--from %s is not the URL of a database%s", fault.Shorten(q.from, 20), near)
	}
	var err error
	if q.prepared, err = q.options(); err != nil {
		return err
	}
	var wrong *sqlsource.OptionError
	if err = sqlsource.Check(q.prepared); errors.As(err, &wrong) {
		return usageErrorf("%v", wrong)
	}
	return err
}

// isUsed reports whether the users come from a query.
func (q *querySource) isUsed() bool { return q.from != "" || q.query != "" || q.file != "" }

// checkArgs checks the arguments of a command that reads a file unless --from is given.
func (q *querySource) checkArgs(cmd *cobra.Command, args []string, file cobra.PositionalArgs) error {
	switch {
	case !q.isUsed():
		return file(cmd, args)
	case len(args) > 0:
		return usageErrorf("give either a file or --from, not both")
	}
	return nil
}

// options returns the query to run.
func (q *querySource) options() (sqlsource.Options, error) {
	o := sqlsource.Options{Query: q.query, Timeout: q.timeout}
	switch {
	case q.from == "":
		return o, usageErrorf("say which database to query: --from URL")
	case q.query == "" && q.file == "":
		return o, usageErrorf("say what to query: --query SQL or --query-file FILE")
	case q.timeout <= 0:
		return o, usageErrorf("--query-timeout should be a positive time, such as 10m")
	}
	if q.file != "" {
		text, err := readFile(q.file)
		if err != nil {
			return o, err
		}
		if text, err = event.WithoutBOM(text); err != nil {
			return o, fmt.Errorf("%s: %w", q.file, err)
		}
		o.Query = string(text)
	}
	var err error
	if o.URL, err = config.ResolveSecret(q.from, config.Env{}); err != nil {
		return o, usageErrorf("--from %v", err)
	}
	return o, nil
}

// hasVisiblePassword reports whether the URL was given with its password, which other users of the machine can see.
func (q *querySource) hasVisiblePassword() bool {
	u, err := url.Parse(q.from)
	if err != nil || u.User == nil || strings.Contains(q.from, "${") {
		return false
	}
	_, set := u.User.Password()
	return set
}

// openQuery starts the query of the flags.
func (k *audienceCommand) openQuery(ctx context.Context, options audiencesync.Options) (*audiencesync.Rows, func(), error) {
	o := k.query.prepared
	if k.query.hasVisiblePassword() {
		k.warn("the password of --from is visible in the list of processes: use --from '${VARIABLE}' or --from file:PATH")
	}
	result, err := sqlsource.Open(ctx, o)
	var wrong *sqlsource.OptionError
	switch {
	case errors.As(err, &wrong):
		return nil, nil, usageErrorf("%v", wrong)
	case err != nil:
		return nil, nil, fmt.Errorf("%w; nothing was sent", err)
	}
	k.file = sqlsource.Location(o.URL)
	options.At, options.Source = result.At, result.ID()
	rows, err := audiencesync.TableRows(result, options)
	if err != nil {
		result.Close()
		return nil, nil, fmt.Errorf("%s: %w", k.file, err)
	}
	return rows, result.Close, nil
}
