package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/landfall-dev/landfall/framework/audience"
	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/fault"
)

const (
	defaultData = "landfall-data"
	dataUsage   = "the data `DIR` for local files, such as the ledger of members; by default the config's, else " + defaultData + " beside it; state.url in the config wins for the ledger"
)

// keeping is what the commands on members and audiences share: an instance of a config and its ledger.
type keeping struct {
	choosing
	columns   map[string]string
	audiences *destination.Audiences
	shown     time.Time
	failures  int
}

func (k *keeping) fileFlags(cmd *cobra.Command) {
	cmd.Flags().StringToStringVar(&k.columns, "column", nil, "`IDENTIFIER=COLUMN`: the column of the file that holds an identifier")
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
func (k *keeping) keeper() *audience.Keeper {
	terminal := isTerminal(k.err)
	return &audience.Keeper{
		Plan: k.chosen.plan, Audiences: k.audiences, Ledger: k.chosen.ledger, DryRun: k.target.dryRun,
		Failed: k.failed,
		Progress: func(done int) {
			if terminal && time.Since(k.shown) > 200*time.Millisecond {
				k.shown = time.Now()
				fmt.Fprintf(k.err, "\r%d sent …\033[K", done)
			}
		},
	}
}

// failed tells of the first changes that were not delivered; the report counts all.
func (k *keeping) failed(f audience.Failure) {
	const most = 20
	k.failures++
	switch {
	case k.json:
		k.print(map[string]any{"failure": f})
	case k.failures <= most:
		fmt.Fprintf(k.out, "%s  %s: %s\n", f.Outcome, f.Identity, f.Reason)
	case k.failures == most+1:
		fmt.Fprintln(k.out, "…")
	}
}

// rows opens a file of users.
func (k *keeping) rows(file string) (*audience.Rows, func(), error) {
	input, err := open(file, k.streams.in)
	if err != nil {
		return nil, nil, err
	}
	for id := range k.columns {
		if !slices.Contains(k.audiences.Identifiers, id) {
			_ = input.Close()
			return nil, nil, misuse("--column: there is no identifier %q%s", id, fault.DidYouMean(id, k.audiences.Identifiers))
		}
	}
	rows, err := audience.NewRows(input, k.audiences.Identifiers, k.columns)
	if err != nil {
		_ = input.Close()
		return nil, nil, fmt.Errorf("%s: %w", file, err)
	}
	return rows, func() { _ = input.Close() }, nil
}

// report prints what became of a work, and ends with exit code 1 where something failed.
func (k *keeping) report(r audience.Report, err error) error {
	if isTerminal(k.err) {
		fmt.Fprint(k.err, "\r\033[K")
	}
	if k.json {
		k.print(map[string]any{"report": r})
	} else {
		k.reportText(r)
	}
	switch {
	case errors.Is(err, context.Canceled):
		return errors.New("interrupted: call it again to go on")
	case err != nil:
		return err
	case r.Failed+r.Refused > 0:
		return failed{}
	}
	return nil
}

func (k *keeping) reportText(r audience.Report) {
	fmt.Fprintf(k.out, "%s (%s) in %s · %s\n", r.Name, r.Audience, k.chosen.plan.ID(), k.target.words())
	for _, row := range []struct {
		name  string
		n     int
		never bool // shown only where there are some
	}{
		{"rows", r.Rows, true}, {"duplicates", r.Duplicates, true}, {"unusable", r.Unusable, true}, {"members before", r.Members, false},
		{"enter", r.Enters, false}, {"exit", r.Exits, false}, {"unchanged", r.Unchanged, true},
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
