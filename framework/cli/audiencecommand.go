package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/event/identifier"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/files/audiencesync"
	"github.com/landfall-dev/landfall/framework/runtime/config"
	"github.com/landfall-dev/landfall/framework/runtime/instances"
	"github.com/landfall-dev/landfall/framework/server/audienceruns"
	"github.com/landfall-dev/landfall/framework/server/history"
	"github.com/landfall-dev/landfall/framework/state"
	"github.com/landfall-dev/landfall/internal/textfile"
)

const dataUsage = "the data `DIR` for local files, such as the ledger; by default the config's, otherwise " + instances.DefaultData + " beside the config; if the config has state.url, the ledger is there"

// audienceCommand is shared by the commands that work on the members of an audience: an instance of a config and its ledger.
type audienceCommand struct {
	instanceFlags
	columns    map[string]string
	encoding   string
	only       audiencesync.RowFilter
	sent       audiencesync.Properties
	file       string // the name of the source of users in messages
	query      querySource
	refusals   refusals
	removeAll  bool // remove members even if rows of the file cannot be read
	asksRemote bool // the users can come from the remote
	audiences  *destination.Audiences
	shown      time.Time
	failures   int
	held       *audienceruns.Hold // nil in a dry run

	suppressed *identifier.Set // nil if the command only reads
}

func (k *audienceCommand) addFileFlags(cmd *cobra.Command) {
	cmd.Flags().StringToStringVar(&k.columns, "column", nil, "`IDENTIFIER=COLUMN`: the column of the file that contains an identifier")
	cmd.Flags().StringVar(&k.encoding, "encoding", "", "the `ENCODING` of the file: "+strings.Join(textfile.Encodings(), ", ")+"; by default utf-8, or utf-16 if the file has a byte order mark")
	cmd.Flags().StringVar(&k.only.Column, "audience-column", "", "the `COLUMN` that has the id of each row's audience; only the rows of this audience are used")
	k.query.addFlags(cmd)
}

func (k *audienceCommand) addAllowFlag(cmd *cobra.Command) {
	k.refusals.addFlag(cmd, "rows of the file or changes")
}

// open loads the config, opens its state and chooses the instance.
func (k *audienceCommand) open(ctx context.Context) error {
	if err := k.query.prepare(k.asksRemote); err != nil {
		return err
	}
	if k.query.isRemote() {
		if err := k.targetRemote(); err != nil {
			return err
		}
	}
	keeps := func(in instances.Instance) bool { return in.Plugin.Audiences != nil }
	if err := k.instanceFlags.open(ctx, keeps, "a destination with audiences"); err != nil {
		return err
	}
	k.audiences = k.chosen.Plugin.Audiences
	if k.reads {
		return nil
	}
	var err error
	k.suppressed, err = k.loadSuppressed(ctx, k.cfg, k.store)
	return err
}

// loadSuppressed reads from the state which users are suppressed.
func (s streams) loadSuppressed(ctx context.Context, cfg *config.Config, store *state.Store) (*identifier.Set, error) {
	set, unknown, err := instances.LoadSuppressed(ctx, cfg, store)
	if unknown > 0 {
		s.warn(fmt.Sprintf("%s cannot be recognized, since state.key has changed or is missing", fault.Count(unknown, "suppressed user")))
	}
	return set, err
}

// newSyncer returns a Syncer for the instance. On a terminal it shows the progress.
func (k *audienceCommand) newSyncer() *audiencesync.Syncer {
	return &audiencesync.Syncer{
		Plan: k.chosen.Plan, Audiences: k.audiences, Ledger: k.chosen.Ledger, DryRun: k.target.DryRun,
		RemoveAll: k.removeAll, OnFailure: k.reportFailure, Suppressed: k.suppressed, OnRemovals: k.allowRemovals,
		OnListed:   func(users int) { k.showProgress(fault.Count(users, "user") + " listed …") },
		OnProgress: func(done int) { k.showProgress(fault.Count(done, "change") + " sent …") },
	}
}

// showProgress shows a text on a terminal until the next one, or until endProgress.
func (k *audienceCommand) showProgress(text string) {
	if isTerminal(k.err) && time.Since(k.shown) > 200*time.Millisecond {
		k.shown = time.Now()
		fmt.Fprintf(k.err, "\r%s\033[K", text)
	}
}

// endProgress removes the text of showProgress.
func (k *audienceCommand) endProgress() {
	if isTerminal(k.err) {
		fmt.Fprint(k.err, "\r\033[K")
	}
}

// reportFailure prints one of the first changes that were not delivered. The report counts all of them.
func (k *audienceCommand) reportFailure(f audiencesync.Failure) {
	const most = 20
	k.failures++
	switch {
	case k.json:
		k.printJSON(map[string]any{"failure": f})
	case k.failures <= most && f.Line > 0:
		place := fmt.Sprintf("%s:%d", cmp.Or(f.File, k.file), f.Line)
		if k.query.isUsed() {
			place = f.Identity + " of the result"
		}
		fmt.Fprintf(k.out, "%s  %s: %s\n", f.Outcome, place, f.Reason)
	case k.failures <= most:
		fmt.Fprintf(k.out, "%s  %s: %s\n", f.Outcome, f.Identity, f.Reason)
	case k.failures == most+1:
		fmt.Fprintln(k.out, "…")
	}
}

// openRows starts the query of the flags, or opens files of users if there is none. The caller calls the returned function to close it.
func (k *audienceCommand) openRows(ctx context.Context, audience string, arguments ...string) (*audiencesync.Rows, func(), error) {
	for id := range k.columns {
		if !slices.Contains(k.audiences.Identifiers, id) {
			return nil, nil, usageErrorf("--column: the destination has no identifier %q%s", id, fault.DidYouMean(id, k.audiences.Identifiers))
		}
	}
	options := audiencesync.Options{Identifiers: k.audiences.Identifiers, Columns: k.columns, Encoding: k.encoding, Properties: k.sent}
	if k.only.Column != "" {
		options.Only = audiencesync.RowFilter{Column: k.only.Column, Value: audience}
	}
	if k.query.isUsed() {
		return k.openQuery(ctx, options)
	}
	if err := textfile.CheckEncoding(k.encoding); err != nil {
		return nil, nil, usageErrorf("--encoding: %v", err)
	}
	files, err := expandFiles(ctx, arguments)
	if err != nil {
		return nil, nil, err
	}
	if len(files) > 1 {
		return k.openFiles(ctx, files, options)
	}
	file := files[0]
	input, err := openUsers(ctx, file, k.streams.in)
	if err != nil {
		return nil, nil, err
	}
	if k.file = file; file == "-" {
		k.file = "standard input"
	}
	rows, err := audiencesync.OpenSource(input, options)
	if err != nil {
		_ = input.Close()
		return nil, nil, fmt.Errorf("%s: %w", k.file, err)
	}
	return rows, func() { _ = input.Close() }, nil
}

// openFiles opens several files of users, which are read one after the other.
func (k *audienceCommand) openFiles(ctx context.Context, files []string, options audiencesync.Options) (*audiencesync.Rows, func(), error) {
	k.file = fault.Count(len(files), "file")
	inputs := make([]audiencesync.Input, len(files))
	for i, file := range files {
		inputs[i] = audiencesync.Input{Name: file, Open: func() (audiencesync.Source, error) { return openUsers(ctx, file, nil) }}
	}
	rows, err := audiencesync.OpenFiles(inputs, options)
	if err != nil {
		return nil, nil, err
	}
	return rows, rows.Close, nil
}

// recordAction runs a command that changes an audience, writes to the history who ran it, and prints its report. The time of the action is
// the one at which the command decides.
func (k *audienceCommand) recordAction(ctx context.Context, name string, a destination.Audience, run func() (audiencesync.Report, error)) error {
	action := history.Action{At: time.Now(), Name: name, Who: history.CommandActor("landfall"), Outcome: "ok", Attributes: map[string]string{
		"instance": k.chosen.Plan.ID(), "cohort": a.ID,
	}}
	report, err := run()
	err = cmp.Or(k.held.Lost(), err)
	if name == history.ActionSync {
		k.releaseAudience(ctx, &report, err)
	}
	if err != nil {
		action.Outcome = "failed"
	}
	action.Attributes["enter"], action.Attributes["exit"] = fmt.Sprint(report.Enters), fmt.Sprint(report.Exits)
	if !k.target.DryRun {
		k.writeAction(context.WithoutCancel(ctx), k.store, action)
	}
	return k.printReport(report, err)
}

// printReport prints the result of a command on an audience. The exit code is 1 if a change failed, or was refused without --allow-refused.
func (k *audienceCommand) printReport(r audiencesync.Report, err error) error {
	k.endProgress()
	if k.json {
		k.printJSON(map[string]any{"report": r})
	} else {
		k.printReportText(r)
	}
	k.printWarnings(r.Warnings)
	var none *audiencesync.NoUsersError
	if errors.As(err, &none) {
		return fmt.Errorf("%s: %w", k.file, err)
	}
	switch {
	case errors.Is(err, context.Canceled):
		return errInterrupted
	case err != nil:
		return err
	}
	return k.refusals.exitError(r.Failed, r.Refused+r.Unusable, k.newHint(k.json))
}

// printWarnings prints warnings about the file of users.
func (k *audienceCommand) printWarnings(warnings []string) {
	for _, w := range warnings {
		k.warn(k.file + ": " + w)
	}
}

func (k *audienceCommand) printReportText(r audiencesync.Report) {
	fmt.Fprintf(k.out, "%s (%s) in %s · %s\n", r.Name, r.Audience, k.chosen.Plan.ID(), k.target.Description())
	for _, row := range []struct {
		name  string
		n     int
		never bool // not shown if it is 0
	}{
		{"rows", r.Rows, true}, {"duplicates", r.Duplicates, true}, {"unusable", r.Unusable, true}, {"suppressed", r.Suppressed, true}, {"members before", r.Members, false},
		{"enter", r.Enters, false}, {"exit", r.Exits, false}, {"not removed", r.Held, true}, {"unchanged", r.Unchanged, true},
		{"delivered", r.Delivered, false}, {"skipped", r.Skipped, true}, {"refused", r.Refused, true}, {"failed for now", r.Failed, true},
	} {
		if row.n > 0 || !row.never {
			fmt.Fprintf(k.out, "%-15s %9d\n", row.name, row.n)
		}
	}
}

// findAudience returns an audience of the ledger by its id or name.
func (k *audienceCommand) findAudience(ctx context.Context, idOrName string) (destination.Audience, error) {
	size, err := k.newSyncer().Find(ctx, idOrName)
	return size.Audience, err
}
