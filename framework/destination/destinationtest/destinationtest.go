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
	run  func(*subject)
}

// allChecks are all of them. The first few need only the definition; those behind them need cases that pass.
func allChecks() []check {
	return []check{
		lintCheck(destination.CheckNames), lintCheck(destination.CheckDescriptions), lintCheck(destination.CheckSecrets),
		lintCheck(destination.CheckDefaults), lintCheck(destination.CheckFields),
		{"the source does no plumbing", checkPlumbing},
		{"every action has a case", checkActionsHaveCases},
		{"cases pass", checkCasesPass},
		{"the sandbox takes what each action sends", checkSandboxAccepts},
		{"a preset takes an event of its action", checkPresets},
		{"bad settings are refused by name and place", checkBadSettings},
		{"bad payloads are refused by name and place", checkBadPayloads},
		{"unknown keys do not reach the handler", checkUnknownKeys},
		{"secrets do not show", checkSecrets},
		{"credentials can be tested", checkCredentials},
		{"every answer has its class", checkStatusClasses},
		{"deletions have the class of their answer", checkDeletions},
		{"choices come from the remote", checkChoices},
		{"strange answers break nothing", checkStrangeResponses},
		{"an event fares in a batch as it does alone", checkBatches},
		{"plans run beside each other", checkConcurrentPlans},
		{"what is cancelled ends", checkCancellation},
	}
}

// Names are the names of the checks, which waivers use.
func Names() []string {
	var names []string
	for _, c := range append(allChecks(), check{name: leftoverCheck}) {
		names = append(names, c.name)
	}
	return names
}

// leftoverCheck is the check round all others.
const leftoverCheck = "no goroutine is left over"

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
	reportFindings(t, Names(), findings)
}

// RunCases runs the cases of a plugin, from a test in its directory, and none of the other checks: for a plugin in the making, whose
// handlers do not do yet what its remote wants.
func RunCases(t *testing.T, p destination.Plugin) {
	t.Helper()
	s, err := newSubject(p, ".")
	if err != nil {
		t.Fatal(err)
	}
	c := check{"cases pass", checkCasesPass}
	s.check = c.name
	c.run(s)
	reportFindings(t, []string{c.name}, s.findings)
}

// reportFindings fails a test of its own for each check with findings.
func reportFindings(t *testing.T, names []string, findings []Finding) {
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
	return s.runChecks(allChecks())
}

// runChecks looks with some of the checks.
func (s *subject) runChecks(checks []check) ([]Finding, error) {
	waivers, err := readWaivers(s.dir)
	if err != nil {
		return nil, err
	}
	before := goleak.IgnoreCurrent()
	for _, c := range checks {
		s.check = c.name
		c.run(s)
	}
	s.check = leftoverCheck
	if err := goleak.Find(before); err != nil {
		s.addFinding("", "%v", err)
	}
	findings, stale := waivers.removeWaived(s.findings)
	var list []error
	for _, w := range stale {
		list = append(list, fmt.Errorf("%s:%d: the waiver waives nothing: take it away", w.file, w.line))
	}
	return findings, errors.Join(list...)
}
