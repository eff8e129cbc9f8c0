// Package destinationtest checks destinations against a table of named checks that every good destination passes. Call Run in
// the test of a plugin. All destinations of the registry are checked with the same table.
//
// The checks need only a plugin and its cases (testdata/cases). They set passwords to canaries, derive invalid input from the
// fields, and send requests to the sandbox or to a misbehaving remote. Intended exceptions are listed in testdata/waivers.yaml
// with a reason. README.md lists the checks.
//
// The checks look for leaked goroutines, so nothing may run concurrently with them.
package destinationtest

import (
	"errors"
	"fmt"
	"testing"

	"go.uber.org/goleak"

	"github.com/landfall-dev/landfall/framework/destination"
)

// Finding is one check that a destination does not pass.
type Finding struct {
	Check   string // name of the check
	Of      string // the subject, such as action.field; "" for the destination
	Message string
}

func (f Finding) String() string {
	if f.Of == "" {
		return f.Message
	}
	return f.Of + ": " + f.Message
}

// check is a named check. run adds findings to the subject.
type check struct {
	name string
	run  func(*subject)
}

// ofRemotes wraps a check of requests and responses. It finds nothing for destinations whose actions run in the browser.
func ofRemotes(run func(*subject)) func(*subject) {
	return func(s *subject) {
		if s.definition.Browser == "" {
			run(s)
		}
	}
}

// allChecks returns all checks. The first ones need only the definition; the others need cases that pass.
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
		{"credentials can be tested", ofRemotes(checkCredentials)},
		{"every answer has its class", ofRemotes(checkStatusClasses)},
		{"deletions have the class of their answer", ofRemotes(checkDeletions)},
		{"choices come from the remote", ofRemotes(checkChoices)},
		{"strange answers break nothing", ofRemotes(checkStrangeResponses)},
		{"an event fares in a batch as it does alone", checkBatches},
		{"plans run beside each other", checkConcurrentPlans},
		{"what is cancelled ends", ofRemotes(checkCancellation)},
	}
}

// Names returns the names of the checks, which waivers refer to.
func Names() []string {
	var names []string
	for _, c := range append(allChecks(), check{name: leftoverCheck}) {
		names = append(names, c.name)
	}
	return names
}

// leftoverCheck is the name of the check that runs around all others.
const leftoverCheck = "no goroutine is left over"

// Run runs all checks on a plugin, from a test in the plugin's directory.
func Run(t *testing.T, p destination.Plugin) {
	t.Helper()
	RunIn(t, p, ".")
}

// RunIn is like Run for a plugin in another directory.
func RunIn(t *testing.T, p destination.Plugin, dir string) {
	t.Helper()
	findings, err := Find(p, dir)
	if err != nil {
		t.Fatal(err)
	}
	reportFindings(t, Names(), findings)
}

// RunCases runs only the cases of a plugin, from a test in the plugin's directory. Use it while handlers are not complete.
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

// reportFindings runs a subtest for each check, which fails if the check has findings.
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

// Find returns the findings for a plugin in a directory, without waived ones. The error says that a definition, a case or a
// waiver cannot be read, or that a waiver waives nothing.
func Find(p destination.Plugin, dir string) ([]Finding, error) {
	s, err := newSubject(p, dir)
	if err != nil {
		return nil, err
	}
	return s.runChecks(allChecks())
}

// runChecks runs some of the checks.
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
		list = append(list, fmt.Errorf("%s:%d: the waiver waives nothing: remove it", w.file, w.line))
	}
	return findings, errors.Join(list...)
}
