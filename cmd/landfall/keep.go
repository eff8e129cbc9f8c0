package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/files/audiencesync"
	"github.com/landfall-dev/landfall/framework/files/textfile"
)

const (
	defaultData = "landfall-data"
	dataUsage   = "the data `DIR` for local files, such as the ledger of members; by default the config's, else " + defaultData + " beside it; state.url in the config wins for the ledger"
)

// keeping is what the commands on members and audiences share: an instance of a config and its ledger.
type keeping struct {
	choosing
	columns   map[string]string
	encoding  string
	file      string // of users, as messages name it
	refusals  refusals
	removeAll bool // also if rows of the file cannot be read
	audiences *destination.Audiences
	shown     time.Time
	failures  int
}

func (k *keeping) fileFlags(cmd *cobra.Command) {
	cmd.Flags().StringToStringVar(&k.columns, "column", nil, "`IDENTIFIER=COLUMN`: the column of the file that holds an identifier")
	cmd.Flags().StringVar(&k.encoding, "encoding", "", "the `ENCODING` of the file: "+strings.Join(textfile.Encodings(), ", ")+"; by default utf-8, or utf-16 with a byte order mark")
}

func (k *keeping) allowFlag(cmd *cobra.Command) {
	k.refusals.flag(cmd, "rows of the file or changes")
}

// open loads the config and its state, and chooses the instance.
func (k *keeping) open(ctx context.Context) error {
	keeps := func(in instance) bool { return in.plugin.Audiences != nil }
	if err := k.choosing.open(ctx, keeps, "a destination that keeps audiences"); err != nil {
		return err
	}
	k.audiences = k.chosen.plugin.Audiences
	return nil
}

// keeper does the work, and tells of it on a terminal.
func (k *keeping) keeper() *audiencesync.Syncer {
	terminal := isTerminal(k.err)
	return &audiencesync.Syncer{
		Plan: k.chosen.plan, Audiences: k.audiences, Ledger: k.chosen.ledger, DryRun: k.target.dryRun,
		RemoveAll: k.removeAll, OnFailure: k.failed,
		OnProgress: func(done int) {
			if terminal && time.Since(k.shown) > 200*time.Millisecond {
				k.shown = time.Now()
				fmt.Fprintf(k.err, "\r%d sent …\033[K", done)
			}
		},
	}
}

// failed tells of the first changes that were not delivered; the report counts all.
func (k *keeping) failed(f audiencesync.Failure) {
	const most = 20
	k.failures++
	switch {
	case k.json:
		k.print(map[string]any{"failure": f})
	case k.failures <= most && f.Line > 0:
		fmt.Fprintf(k.out, "%s  %s:%d: %s\n", f.Outcome, k.file, f.Line, f.Reason)
	case k.failures <= most:
		fmt.Fprintf(k.out, "%s  %s: %s\n", f.Outcome, f.Identity, f.Reason)
	case k.failures == most+1:
		fmt.Fprintln(k.out, "…")
	}
}

// rows opens a file of users.
func (k *keeping) rows(file string) (*audiencesync.Rows, func(), error) {
	if err := textfile.CheckEncoding(k.encoding); err != nil {
		return nil, nil, misuse("--encoding: %v", err)
	}
	input, err := open(file, k.streams.in)
	if err != nil {
		return nil, nil, err
	}
	if k.file = file; file == "-" {
		k.file = "standard input"
	}
	for id := range k.columns {
		if !slices.Contains(k.audiences.Identifiers, id) {
			_ = input.Close()
			return nil, nil, misuse("--column: there is no identifier %q%s", id, fault.DidYouMean(id, k.audiences.Identifiers))
		}
	}
	rows, err := audiencesync.OpenRows(input, audiencesync.Options{Identifiers: k.audiences.Identifiers, Columns: k.columns, Encoding: k.encoding})
	if err != nil {
		_ = input.Close()
		return nil, nil, fmt.Errorf("%s: %w", k.file, err)
	}
	return rows, func() { _ = input.Close() }, nil
}

// report prints the report of a command on an audience. The exit code is 1 if something failed, or was refused and --allow-refused
// is not given.
func (k *keeping) report(r audiencesync.Report, err error) error {
	if isTerminal(k.err) {
		fmt.Fprint(k.err, "\r\033[K")
	}
	if k.json {
		k.print(map[string]any{"report": r})
	} else {
		k.reportText(r)
	}
	k.warnAll(r.Warnings)
	var none *audiencesync.NoUsersError
	if errors.As(err, &none) {
		return fmt.Errorf("%s: %w", k.file, err)
	}
	switch {
	case errors.Is(err, context.Canceled):
		return errors.New("interrupted: call it again to go on")
	case err != nil:
		return err
	}
	return k.refusals.verdict(r.Failed, r.Refused+r.Unusable, k.hint(k.json))
}

// warnAll tells of what was noticed in the file.
func (k *keeping) warnAll(warnings []string) {
	for _, w := range warnings {
		k.warn(k.file + ": " + w)
	}
}

func (k *keeping) reportText(r audiencesync.Report) {
	fmt.Fprintf(k.out, "%s (%s) in %s · %s\n", r.Name, r.Audience, k.chosen.plan.ID(), k.target.words())
	for _, row := range []struct {
		name  string
		n     int
		never bool // shown only where there are some
	}{
		{"rows", r.Rows, true}, {"duplicates", r.Duplicates, true}, {"unusable", r.Unusable, true}, {"members before", r.Members, false},
		{"enter", r.Enters, false}, {"exit", r.Exits, false}, {"not removed", r.Held, true}, {"unchanged", r.Unchanged, true},
		{"delivered", r.Delivered, false}, {"skipped", r.Skipped, true}, {"refused", r.Refused, true}, {"failed for now", r.Failed, true},
	} {
		if row.n > 0 || !row.never {
			fmt.Fprintf(k.out, "%-15s %9d\n", row.name, row.n)
		}
	}
}

// audience is one that the ledger has.
func (k *keeping) audience(ctx context.Context, idOrName string) (destination.Audience, error) {
	size, err := k.keeper().Find(ctx, idOrName)
	return size.Audience, err
}
