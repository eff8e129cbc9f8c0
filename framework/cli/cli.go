// Package cli is the command line of Landfall: a program that calls [Main] with its destinations has all commands of landfall.
//
//	func main() { os.Exit(cli.Main(append(destinations.All(), acme.Plugin())...)) }
//
// That is all that a program of your own needs; `landfall new module` creates a repository with one. Programs that only deliver
// events use package runtime/instances or runtime instead.
//
// Each command has its own file, which defines the flags and prints the results; the packages below do the work. The package
// keeps no state besides that of the running command.
package cli

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/runtime/ballast"
	"github.com/landfall-dev/landfall/framework/runtime/config"
	"github.com/landfall-dev/landfall/framework/runtime/instances"
	"github.com/landfall-dev/landfall/framework/server"
	"github.com/landfall-dev/landfall/framework/server/history"
	"github.com/landfall-dev/landfall/framework/state"
	"github.com/landfall-dev/landfall/internal/buildinfo"
	"github.com/landfall-dev/landfall/internal/memorylimit"
)

// Exit codes.
const (
	exitOK     = 0
	exitFailed = 1 // something failed
	exitMisuse = 2 // the command was called with wrong arguments
)

// Main runs the command line of this process with the given destinations, and returns the exit code: 0 for success, 1 if something
// failed, 2 for wrong arguments. It ends on SIGINT and SIGTERM. It must be called once, as the last thing that main does:
//
//	func main() { os.Exit(cli.Main(destinations.All()...)) }
func Main(plugins ...destination.Plugin) int {
	ballast.Reserve(ballast.DefaultSize)
	memorylimit.Detect().Apply()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return executeCommand(ctx, os.Args[1:], streams{
		in: os.Stdin, out: os.Stdout, err: os.Stderr, plugins: plugins,
		program: strings.TrimSuffix(filepath.Base(os.Args[0]), ".exe"),
	})
}

// streams holds a command's input and outputs, and the destinations it knows.
type streams struct {
	in  io.Reader
	out io.Writer
	err io.Writer

	definitions *string              // the directory of --definitions; "" for none
	plugins     []destination.Plugin // of the program
	defined     []destination.Plugin // those of --definitions, for landfall sandbox
	program     string               // its name, for messages; "" for landfall
}

// defaultProgram is the name of the program in help texts.
const defaultProgram = "landfall"

// programName returns the name of the running program.
func (s streams) programName() string { return cmp.Or(s.program, defaultProgram) }

// catalog returns where the destinations of a command come from. The flags must have been parsed.
func (s streams) catalog() instances.Catalog {
	return instances.Catalog{Plugins: s.plugins, Definitions: *s.definitions}
}

// warn prints a warning.
func (s streams) warn(text string) { fmt.Fprintf(s.err, "warning: %s\n", text) }

// warnConfig prints the warnings of a config, and those of instances.
func (s streams) warnConfig(cfg *config.Config, list ...instances.Instance) {
	for _, w := range cfg.Warnings() {
		s.warn(w.String())
	}
	for _, in := range list {
		for _, w := range in.Plan.Warnings() {
			s.warn(w.String())
		}
	}
}

// writeAction writes a command to the history of the server. If that fails, it only warns.
func (s streams) writeAction(ctx context.Context, store *state.Store, a history.Action) {
	if err := history.AddAction(ctx, store, a); err != nil {
		s.warn("the history of the server lacks this command: " + err.Error())
	}
}

// printJSON prints a value as a line of JSON.
func (s streams) printJSON(v any) { _ = json.NewEncoder(s.out).Encode(v) }

// printProblems prints the problems of a check or a case, which may have several lines.
func (s streams) printProblems(problems []string) {
	for _, p := range problems {
		fmt.Fprintf(s.out, "  %s\n", strings.ReplaceAll(p, "\n", "\n  "))
	}
}

// newHint returns a function that prints a remark, or nil if the output is JSON.
func (s streams) newHint(asJSON bool) func(string) {
	if asJSON {
		return nil
	}
	return func(text string) { fmt.Fprintf(s.err, "%s: %s\n", s.programName(), text) }
}

// reportedError is the error of a command that has already printed what failed. The exit code is 1.
type reportedError struct{}

func (reportedError) Error() string { return "failed" }

// usageError is an error in the arguments of a command. The exit code is 2.
type usageError struct{ error }

func usageErrorf(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

func executeCommand(ctx context.Context, args []string, s streams) int {
	s.defined = definedSandboxes(args)
	root := newRoot(s)
	root.SetArgs(args)
	command, err := root.ExecuteContextC(ctx)
	var quiet reportedError
	var wrong usageError
	var option server.OptionError
	var address instances.SandboxURLError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &quiet):
		return exitFailed
	case errors.As(err, &wrong), errors.As(err, &option), errors.As(err, &address):
		fmt.Fprintf(s.err, "%s: %s\nSee: %s --help\n", s.programName(), errorText(err), command.CommandPath())
		return exitMisuse
	case isInterruption(ctx, err):
		err = errInterrupted
	}
	fmt.Fprintf(s.err, "%s: %s\n", s.programName(), errorText(err))
	return exitFailed
}

// errInterrupted is the error of a command that a signal ended. Every command can be repeated.
var errInterrupted = errors.New("interrupted: run the command again to continue")

// isInterruption reports whether a command failed because a signal canceled its context. A transaction of that context then fails with
// sql.ErrTxDone.
func isInterruption(ctx context.Context, err error) bool {
	return errors.Is(ctx.Err(), context.Canceled) && (errors.Is(err, context.Canceled) || errors.Is(err, sql.ErrTxDone))
}

// errorText returns the text of an error, with those of files and of the state in words of their own.
func errorText(err error) string {
	if text := fault.FileText(err); text != err.Error() {
		return text
	}
	return state.ErrorText(err)
}

func newRoot(s streams) *cobra.Command {
	s.definitions = new(string)
	root := &cobra.Command{
		Use:   s.programName(),
		Short: "Segment-Actions-style destinations on your own machines",
		Long: "Landfall processes events with subscriptions and mappings, delivers them to the APIs of destinations, and reports the\n" +
			"result of each event. " + s.programName() + " list shows the destinations, and " + s.programName() + " docs the documentation.",
		Version:       buildinfo.Read().Version,
		SilenceErrors: true, SilenceUsage: true,
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: true},
		RunE:              chooseCommand,
		Args:              cobra.ArbitraryArgs,
	}
	root.SetIn(s.in)
	root.SetOut(s.out)
	root.SetErr(s.err)
	root.SetVersionTemplate(s.versionLine())
	root.PersistentFlags().StringVar(s.definitions, "definitions", "", "a `DIR` with destinations without code, each in <slug>/destination.yaml")
	root.SetFlagErrorFunc(flagError)
	root.AddCommand(
		newServe(s), newConsole(s), newDead(s), newReplay(s), newStatus(s), newHealth(s), newResume(s), newBackup(s), newRestore(s), newCheckpoints(s), newDoctor(s), newDocs(s),
		newRun(s), newTest(s), newSuite(s), newValidate(s), newExplain(s), newWhy(s), newMap(s), newMatch(s),
		newList(s), newDescribe(s), newMembers(s), newState(s), newSuppress(s), newErase(s), newInstances(s), newSync(s), newAuth(s), newAudience(s), newChoices(s), newHooks(s), newSandbox(s), newGenerate(s),
		newNew(s), newImport(s), newMan(s), newVersion(s),
	)
	nameProgram(root, s.programName())
	refuseUnknownCommands(root)
	return root
}

// refuseUnknownCommands makes each command that only has subcommands refuse an unknown one.
func refuseUnknownCommands(cmd *cobra.Command) {
	if cmd.HasSubCommands() && !cmd.Runnable() {
		cmd.RunE, cmd.Args = chooseCommand, cobra.ArbitraryArgs
	}
	for _, inner := range cmd.Commands() {
		refuseUnknownCommands(inner)
	}
}

// nameProgram replaces landfall by the program's name in the examples of a command and of those below it.
func nameProgram(cmd *cobra.Command, program string) {
	cmd.Example = strings.ReplaceAll(cmd.Example, defaultProgram+" ", program+" ")
	for _, inner := range cmd.Commands() {
		nameProgram(inner, program)
	}
}

// chooseCommand runs a command that only has subcommands: it shows its help, or refuses an unknown subcommand.
func chooseCommand(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usageErrorf("there is no command %q%s", args[0], fault.DidYouMean(args[0], commandNames(cmd)))
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

// exactArgs refuses any other number of arguments. what describes the arguments in the error.
func exactArgs(n int, what string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) != n {
			return usageErrorf("give %s; %d given", what, len(args))
		}
		return nil
	}
}

// maxOneArg refuses more than one argument. what describes the argument in the error.
func maxOneArg(what string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) > 1 {
			return usageErrorf("give %s; %d given", what, len(args))
		}
		return nil
	}
}

// minOneArg refuses a call without arguments. what describes the arguments in the error.
func minOneArg(what string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) == 0 {
			return usageErrorf("give %s", what)
		}
		return nil
	}
}
