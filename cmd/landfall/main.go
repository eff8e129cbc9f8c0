// Command landfall runs Segment-Actions-style destinations: it takes events through subscriptions and mappings to the
// handlers of a destination, against the real API or a sandbox. `landfall --help` lists what it can do.
//
// Each command has a file of its own here, which reads flags and prints; the work is done by the packages of framework.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/runtime/ballast"
)

// Exit codes.
const (
	exitOK     = 0
	exitFailed = 1 // something failed
	exitMisuse = 2 // the command was misused
)

func main() {
	os.Exit(Main())
}

// Main runs the command line of this process, with destinations beside those of the program, and gives its exit code.
func Main(plugins ...destination.Plugin) int {
	ballast.Reserve(ballast.DefaultSize)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return execute(ctx, os.Args[1:], streams{in: os.Stdin, out: os.Stdout, err: os.Stderr, plugins: plugins})
}

// streams are where a command reads and writes.
type streams struct {
	in  io.Reader
	out io.Writer
	err io.Writer

	definitions *string              // the directory of --definitions; "" for none
	plugins     []destination.Plugin // beside those of the program
}

// warn tells of something that is not an error.
func (s streams) warn(text string) { fmt.Fprintf(s.err, "warning: %s\n", text) }

// hint returns what prints a remark for people, nil if the output is for programs.
func (s streams) hint(asJSON bool) func(string) {
	if asJSON {
		return nil
	}
	return func(text string) { fmt.Fprintf(s.err, "landfall: %s\n", text) }
}

// failed ends a command with exit code 1 after it has said why itself.
type failed struct{}

func (failed) Error() string { return "failed" }

// misused is an error of how the command was called.
type misused struct{ error }

func misuse(format string, args ...any) error { return misused{fmt.Errorf(format, args...)} }

func execute(ctx context.Context, args []string, s streams) int {
	root := newRoot(s)
	root.SetArgs(args)
	command, err := root.ExecuteContextC(ctx)
	var quiet failed
	var wrong misused
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &quiet):
		return exitFailed
	case errors.As(err, &wrong):
		fmt.Fprintf(s.err, "landfall: %v\nSee: %s --help\n", err, command.CommandPath())
		return exitMisuse
	}
	fmt.Fprintf(s.err, "landfall: %v\n", err)
	return exitFailed
}

func newRoot(s streams) *cobra.Command {
	s.definitions = new(string)
	root := &cobra.Command{
		Use:   "landfall",
		Short: "Segment-Actions-style destinations on your own machines",
		Long: "Landfall takes events through subscriptions and mappings to the APIs of destinations, and tells what became of\n" +
			"each. The first destination is Braze Cohorts, which keeps audiences in sync.",
		SilenceErrors: true, SilenceUsage: true,
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: true},
		RunE:              chooseCommand,
		Args:              cobra.ArbitraryArgs,
	}
	root.SetIn(s.in)
	root.SetOut(s.out)
	root.SetErr(s.err)
	root.PersistentFlags().StringVar(s.definitions, "definitions", "", "a `DIR` of destinations without code, each in <slug>/destination.yaml")
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return misused{err} })
	root.AddCommand(
		newServe(s), newConsole(s), newDead(s), newReplay(s), newStatus(s), newResume(s), newBackup(s), newRestore(s), newCheckpoints(s), newDoctor(s),
		newRun(s), newTest(s), newValidate(s), newExplain(s), newMap(s), newMatch(s),
		newList(s), newDescribe(s), newMembers(s), newState(s), newInstances(s), newSync(s), newAuth(s), newAudience(s), newChoices(s), newHooks(s), newSandbox(s), newGenerate(s),
		newNew(s), newImport(s),
	)
	return root
}

// chooseCommand is what a command does that only holds others: it shows them, and refuses any other.
func chooseCommand(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return misuse("there is no command %q%s", args[0], fault.DidYouMean(args[0], commandNames(cmd)))
	}
	return cmd.Help()
}

func commandNames(cmd *cobra.Command) []string {
	var names []string
	for _, c := range cmd.Commands() {
		names = append(names, c.Name())
	}
	return names
}

// exactly refuses any other number of arguments, in words.
func exactly(n int, what string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) != n {
			return misuse("give %s; %d given", what, len(args))
		}
		return nil
	}
}

// atMostOne refuses more than one argument, in words.
func atMostOne(what string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) > 1 {
			return misuse("give %s; %d given", what, len(args))
		}
		return nil
	}
}

// atLeastOne refuses no arguments, in words.
func atLeastOne(what string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) == 0 {
			return misuse("give %s", what)
		}
		return nil
	}
}
