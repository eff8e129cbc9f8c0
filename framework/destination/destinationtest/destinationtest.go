// Package destinationtest holds a destination against what is true of every good one: a table of small checks with names. An
// author calls Run in the test of a plugin; the list of all destinations is held against the same table.
//
// The checks need nothing of a destination but its plugin and its cases (testdata/cases): they fill its passwords with
// canaries, derive bad input from its fields, and put its sandbox, or a remote that misbehaves, behind its requests. What a
// destination does on purpose otherwise stands in testdata/waivers.yaml, with a reason. README.md lists the checks.
//
// Checks look for goroutines that are left over, so nothing else may run beside them.
package destinationtest

import (
	"errors"
	"fmt"
	"testing"

	"go.uber.org/goleak"

	"github.com/landfall-dev/landfall/framework/destination"
)

// Finding is one way in which a destination is not as it should be.
type Finding struct {
	Check   string // the name of the check
	Of      string // what it is about, such as action.field; "" for the destination
	Message string
}

func (f Finding) String() string {
	if f.Of == "" {
		return f.Message
	}
	return f.Of + ": " + f.Message
}

// check is one thing that is true of every good destination.
type check struct {
	name string
	look func(*subject)
}

// checks are all of them. The first few need only the definition; those behind them need cases that pass.
func checks() []check {
	return []check{
		lint(destination.CheckNames), lint(destination.CheckDescriptions), lint(destination.CheckSecrets),
		lint(destination.CheckDefaults), lint(destination.CheckFields),
		{"the source does no plumbing", plumbing},
		{"every action has a case", everyActionHasACase},
		{"cases pass", casesPass},
		{"the sandbox takes what each action sends", sandboxTakes},
		{"a preset takes an event of its action", presetsTake},
		{"bad settings are refused by name and place", badSettings},
		{"bad payloads are refused by name and place", badPayloads},
		{"unknown keys do not reach the handler", unknownKeys},
		{"secrets do not show", secretsDoNotShow},
		{"credentials can be tested", credentials},
		{"every answer has its class", classes},
		{"deletions have the class of their answer", deletions},
		{"choices come from the remote", choices},
		{"strange answers break nothing", strangeAnswers},
		{"an event fares in a batch as it does alone", batches},
		{"plans run beside each other", besideEachOther},
		{"what is cancelled ends", cancelled},
	}
}

// Names are the names of the checks, which waivers use.
func Names() []string {
	var names []string
	for _, c := range append(checks(), check{name: leftOver}) {
		names = append(names, c.name)
	}
	return names
}

// leftOver is the check round all others.
const leftOver = "no goroutine is left over"

// Run holds a plugin against all checks, from a test in its directory.
func Run(t *testing.T, p destination.Plugin) {
	t.Helper()
	RunIn(t, p, ".")
}

// RunIn is Run for a plugin in another directory.
func RunIn(t *testing.T, p destination.Plugin, dir string) {
	t.Helper()
	findings, err := Find(p, dir)
	if err != nil {
		t.Fatal(err)
	}
	report(t, Names(), findings)
}

// RunCases runs the cases of a plugin, from a test in its directory, and none of the other checks: for a plugin in the making, whose
// handlers do not do yet what its remote wants.
func RunCases(t *testing.T, p destination.Plugin) {
	t.Helper()
	s, err := newSubject(p, ".")
	if err != nil {
		t.Fatal(err)
	}
	c := check{"cases pass", casesPass}
	s.check = c.name
	c.look(s)
	report(t, []string{c.name}, s.findings)
}

// report fails a test of its own for each check with findings.
func report(t *testing.T, names []string, findings []Finding) {
	t.Helper()
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			for _, f := range findings {
				if f.Check == name {
					t.Error(f)
				}
			}
		})
	}
}

// Find is everything that is not as it should be with a plugin in a directory, waivers taken into account. The error is that of
// a definition, of cases or of waivers that cannot be read, or of a waiver that waives nothing.
func Find(p destination.Plugin, dir string) ([]Finding, error) {
	s, err := newSubject(p, dir)
	if err != nil {
		return nil, err
	}
	return s.lookWith(checks())
}

// lookWith looks with some of the checks.
func (s *subject) lookWith(checks []check) ([]Finding, error) {
	waivers, err := readWaivers(s.dir)
	if err != nil {
		return nil, err
	}
	before := goleak.IgnoreCurrent()
	for _, c := range checks {
		s.check = c.name
		c.look(s)
	}
	s.check = leftOver
	if err := goleak.Find(before); err != nil {
		s.find("", "%v", err)
	}
	findings, stale := waivers.apply(s.findings)
	var list []error
	for _, w := range stale {
		list = append(list, fmt.Errorf("%s:%d: the waiver waives nothing: take it away", w.file, w.line))
	}
	return findings, errors.Join(list...)
}
